package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// measured is what a baseline says of itself.
type measured struct {
	Wall, CPU time.Duration
	Peak      int64 // bytes
	Rows      int   // 0 if it does not know
}

// baselines are programs that move the same bytes and do nothing with them.
// Each runs as a process of its own, so that its CPU time and memory are its.
var baselines = map[string]func(ctx context.Context, args []string) (rows int, began time.Time, err error){
	"slot":    rawSlot,
	"binlog":  rawBinlog,
	"copy":    rawCopy,
	"select":  rawSelect,
	"mongo":   rawMongo,
	"elastic": rawElastic,
}

// rawMain is the process of a baseline.
func rawMain(ctx context.Context, args []string) error {
	run, ok := baselines[args[0]]
	if !ok {
		return fmt.Errorf("there is no baseline %s", args[0])
	}
	rows, began, err := run(ctx, args[1:])
	if err != nil {
		return err
	}
	m := measured{Wall: time.Since(began), Rows: rows}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return fmt.Errorf("ask for the CPU time: %w", err)
	}
	m.CPU = rusageCPU(&u) - preparation
	m.Peak = u.Maxrss << 10
	return json.NewEncoder(os.Stdout).Encode(m)
}

// preparation is the CPU time that a baseline took before its clock ran.
var preparation time.Duration

// start ends the preparation of a baseline.
func start() (time.Time, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return time.Time{}, fmt.Errorf("ask for the CPU time: %w", err)
	}
	preparation = rusageCPU(&u)
	return time.Now(), nil
}

func rusageCPU(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// raw runs a baseline of this program in a process of its own.
func raw(ctx context.Context, args ...string) (measured, error) {
	self, err := os.Executable()
	if err != nil {
		return measured{}, fmt.Errorf("find this program: %w", err)
	}
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, self, append([]string{"raw"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return measured{}, fmt.Errorf("run the baseline %s: %w: %s", args[0], err, problems.String())
	}
	var m measured
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		return measured{}, fmt.Errorf("read the answer of the baseline %s: %w", args[0], err)
	}
	return m, nil
}

// program runs a program that is a baseline.
func program(ctx context.Context, argv []string) (measured, error) {
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = nil, &problems // /dev/null
	began := time.Now()
	err := cmd.Run()
	m := measured{Wall: time.Since(began)}
	if err != nil {
		return m, fmt.Errorf("run %s: %w: %s", argv[0], err, problems.String())
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.CPU, m.Peak = rusageCPU(u), u.Maxrss<<10
	}
	return m, nil
}

// rawCopy reads COPY … TO STDOUT and drops it. args: URL.
func rawCopy(ctx context.Context, args []string) (int, time.Time, error) {
	conn, err := pgconn.Connect(ctx, args[0])
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	began, err := start()
	if err != nil {
		return 0, began, err
	}
	tag, err := conn.CopyTo(ctx, io.Discard, "COPY bench TO STDOUT")
	return int(tag.RowsAffected()), began, err
}

// rawSelect reads the packets of a result set one by one and drops them, as a
// client does that keeps no rows. args: address, user, password, database.
func rawSelect(ctx context.Context, args []string) (int, time.Time, error) {
	// In the plain old protocol, so that a query is its text and a result set
	// has an end packet after the columns and one after the rows.
	plain := func(c *client.Conn) error {
		c.UnsetCapability(mysql.CLIENT_QUERY_ATTRIBUTES)
		c.UnsetCapability(mysql.CLIENT_DEPRECATE_EOF)
		return nil
	}
	conn, err := client.ConnectWithContext(ctx, args[0], args[1], args[2], args[3], 10*time.Second, plain)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("connect to MySQL: %w", err)
	}
	defer conn.Close()
	began, err := start()
	if err != nil {
		return 0, began, err
	}
	query := append(make([]byte, 4), mysql.COM_QUERY) // with room for the header
	query = append(query, "SELECT * FROM bench"...)
	conn.ResetSequence()
	if err := conn.WritePacket(query); err != nil {
		return 0, began, fmt.Errorf("send the query: %w", err)
	}
	packets, ends := 0, 0
	var buf []byte
	for ends < 2 { // after the columns, and after the rows
		if buf, err = conn.ReadPacketReuseMem(buf[:0]); err != nil {
			return 0, began, fmt.Errorf("read the rows: %w", err)
		}
		switch {
		case buf[0] == mysql.ERR_HEADER:
			return 0, began, fmt.Errorf("the query was refused: %q", buf)
		case buf[0] == mysql.EOF_HEADER && len(buf) < 9:
			ends++
		case ends == 1:
			packets++
		}
	}
	return packets, began, nil
}

// document is what a plain loader makes of a row's texts.
func document(row *benchRow) bson.D {
	return bson.D{
		{Key: "_id", Value: number(row[0])},
		{Key: "id", Value: number(row[0])},
		{Key: "customer_id", Value: number(row[1])},
		{Key: "email", Value: row[2]},
		{Key: "name", Value: row[3]},
		{Key: "amount", Value: row[4]},
		{Key: "qty", Value: number(row[5])},
		{Key: "active", Value: row[6] == "1"},
		{Key: "created_at", Value: row[7]},
		{Key: "updated_at", Value: row[8]},
		{Key: "attrs", Value: row[9]},
		{Key: "note", Value: row[10]},
	}
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("bench: " + err.Error()) // of text made by benchRows
	}
	return n
}

// loaderBatch is how many documents a plain bulk loader sends at once.
const loaderBatch = 1000

// rawMongo upserts documents that are there already in BSON, in unordered
// bulks, one after the other. args: URI, database, collection, rows.
func rawMongo(ctx context.Context, args []string) (rows int, began time.Time, err error) {
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return 0, began, err
	}
	var bulks [][]mongo.WriteModel
	err = benchRows(n, loaderBatch, func(rows []benchRow) error {
		models := make([]mongo.WriteModel, 0, len(rows))
		for i := range rows {
			raw, err := bson.Marshal(document(&rows[i]))
			if err != nil {
				return err
			}
			models = append(models, mongo.NewReplaceOneModel().SetFilter(bson.D{{Key: "_id", Value: number(rows[i][0])}}).SetReplacement(bson.Raw(raw)).SetUpsert(true))
		}
		bulks = append(bulks, models)
		return nil
	})
	if err != nil {
		return 0, began, err
	}
	conn, err := mongo.Connect(options.Client().ApplyURI(args[0]))
	if err != nil {
		return 0, began, fmt.Errorf("connect to MongoDB: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Disconnect(ctx)) }()
	collection := conn.Database(args[1]).Collection(args[2])
	if err := conn.Ping(ctx, nil); err != nil {
		return 0, began, fmt.Errorf("reach MongoDB: %w", err)
	}
	if began, err = start(); err != nil {
		return 0, began, err
	}
	for _, models := range bulks {
		if _, err := collection.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false)); err != nil {
			return 0, began, fmt.Errorf("write a bulk: %w", err)
		}
	}
	return n, began, nil
}

// rawElastic indexes documents with external versions by requests that are
// there already, one after the other. args: URL, index, rows.
func rawElastic(ctx context.Context, args []string) (rows int, began time.Time, err error) {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return 0, began, err
	}
	var bodies [][]byte
	err = benchRows(n, loaderBatch, func(rows []benchRow) error {
		var b bytes.Buffer
		for i := range rows {
			fields := map[string]any{}
			for _, f := range document(&rows[i])[1:] {
				fields[f.Key] = f.Value
			}
			doc, err := json.Marshal(fields)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, `{"index":{"_id":"%s","version":%s,"version_type":"external"}}`+"\n%s\n", rows[i][0], rows[i][0], doc)
		}
		bodies = append(bodies, b.Bytes())
		return nil
	})
	if err != nil {
		return 0, began, err
	}
	if began, err = start(); err != nil {
		return 0, began, err
	}
	for _, body := range bodies {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, args[0]+"/"+args[1]+"/_bulk", bytes.NewReader(body))
		if err != nil {
			return 0, began, err
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, began, fmt.Errorf("send a bulk: %w", err)
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read
		if err != nil || resp.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"errors":true`)) {
			return 0, began, fmt.Errorf("a bulk was refused: %s %w %.300s", resp.Status, err, answer)
		}
	}
	return n, began, nil
}
