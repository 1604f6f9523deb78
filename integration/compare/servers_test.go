package compare_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/compare"
	"github.com/penstock/penstock/integration/servers"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestMySQLToMongo_FindsPlantedDifferences(t *testing.T) {
	t.Parallel()
	src, dst := servers.MySQL(t), servers.Mongo(t)
	src.MustExec(t,
		"CREATE TABLE `od``d` (id BIGINT UNSIGNED, part VARCHAR(20) CHARACTER SET latin1, flag TINYINT(1), bits BIT(9), price DECIMAL(20,4), ratio FLOAT, wide DOUBLE,"+
			" kind ENUM('a','b'), tags SET('x','y'), raw VARBINARY(8), doc JSON, born DATE, at DATETIME(6), upd TIMESTAMP(3) NULL, took TIME(3), year YEAR, body TEXT, PRIMARY KEY (id, part))",
		"INSERT INTO `od``d` VALUES (18446744073709551615, 'añ|\"b\\\\', 1, 257, -12.3400, 1.1, 0.1, 'b', 'x,y', 0x00FF, '{\"a\": [1.50, null]}', '1969-12-31', '2026-03-04 05:06:07.123456', '2026-03-04 05:06:07.123', '-12:00:00.5', 1999, ''),"+
			" (2, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
	client, err := mongo.Connect(options.Client().ApplyURI(dst.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	collection := client.Database(dst.Database).Collection("odd")
	price, err := bson.ParseDecimal128("-12.34")
	if err != nil {
		t.Fatal(err)
	}
	id, err := bson.ParseDecimal128("18446744073709551615")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)
	full := bson.D{
		{Key: "_id", Value: bson.D{{Key: "id", Value: id}, {Key: "part", Value: `añ|"b\`}}},
		{Key: "flag", Value: true},
		{Key: "bits", Value: int32(257)},
		{Key: "price", Value: price},
		{Key: "ratio", Value: float64(float32(1.1))},
		{Key: "wide", Value: 0.1},
		{Key: "kind", Value: "b"},
		{Key: "tags", Value: "x,y"},
		{Key: "raw", Value: bson.Binary{Data: []byte{0, 0xff}}},
		{Key: "doc", Value: `{"a":[1.5,null]}`},
		{Key: "born", Value: int32(-1)},
		{Key: "at", Value: at.UnixMicro()},
		{Key: "upd", Value: at},
		{Key: "took", Value: int64(-43200500000)},
		{Key: "year", Value: int32(1999)},
		{Key: "body", Value: ""},
	}
	sparse := bson.D{{Key: "_id", Value: bson.D{{Key: "id", Value: int64(2)}, {Key: "part", Value: ""}}}}
	if _, err := collection.InsertMany(t.Context(), []any{full, sparse}); err != nil {
		t.Fatal(err)
	}
	run := func() *compare.Report {
		t.Helper()
		r, err := compare.MySQLToMongo(t.Context(), src.DSN(), dst.URI(), dst.Database, []compare.Pair{{Table: "od`d", Target: "odd"}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(); !r.Equal() || r.Rows() != 2 || r.Tables[0].Fields != 34 {
		t.Fatalf("want two equal rows of 17 columns:\n%v", r)
	}
	planted := []struct {
		change bson.D
		field  string
	}{
		{bson.D{{Key: "$set", Value: bson.D{{Key: "bits", Value: 256}}}}, "bits"},
		{bson.D{{Key: "$set", Value: bson.D{{Key: "bits", Value: 257}, {Key: "at", Value: at.UnixMicro() + 1}}}}, "at"},
		{bson.D{{Key: "$set", Value: bson.D{{Key: "at", Value: at.UnixMicro()}, {Key: "doc", Value: `{"a":[1.5]}`}}}}, "doc"},
		{bson.D{{Key: "$set", Value: bson.D{{Key: "doc", Value: `{"a":[1.5,null]}`}}}, {Key: "$unset", Value: bson.D{{Key: "body", Value: ""}}}}, "body"},
		{bson.D{{Key: "$set", Value: bson.D{{Key: "body", Value: ""}, {Key: "ghost", Value: 1}}}}, "ghost"},
	}
	for _, p := range planted {
		if _, err := collection.UpdateByID(t.Context(), full[0].Value, p.change); err != nil {
			t.Fatal(err)
		}
		if r := run(); r.Total != 1 || r.Differences[0].Field != p.field {
			t.Errorf("want one difference, in %s:\n%v", p.field, r)
		}
	}
	if _, err := collection.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: sparse[0].Value}}); err != nil {
		t.Fatal(err)
	}
	src.MustExec(t, "DELETE FROM `od``d` WHERE id > 2")
	r := run()
	if r.Total != 2 || r.Differences[0].Kind != compare.Missing || r.Differences[1].Kind != compare.Surplus {
		t.Errorf("want a row that is missing and a document too many:\n%v", r)
	}
}

func TestPostgresToElasticsearch_FindsPlantedDifferences(t *testing.T) {
	t.Parallel()
	src, dst := servers.Postgres(t), servers.Elasticsearch(t)
	index := dst.Index("odd")
	if err := src.Exec(t.Context(),
		`CREATE TYPE mood AS ENUM ('ok', 'sad')`,
		`CREATE DOMAIN cents AS numeric(12,2)`,
		`CREATE TABLE odd (id int, "Part" uuid, flag bool, price cents, free numeric, ratio real, wide float8, feel mood, code char(4), raw bytea,
		   doc jsonb, tags text[], born date, at timestamp, upd timestamptz, took time, body text, PRIMARY KEY ("Part", id))`,
		`INSERT INTO odd VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, -12.30, 1e20, 1.1, 0.1, 'sad', 'x', '\x00ff',
		   '{"a": [1.50, null]}', '{a,NULL,"b c"}', '2026-03-04', '2026-03-04 05:06:07.123456', '2026-03-04 06:06:07+01', '01:02:03.5', 'añ'),
		  (2, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`); err != nil {
		t.Fatal(err)
	}
	put := func(id, doc string) {
		t.Helper()
		call(t, http.MethodPut, fmt.Sprintf("%s/%s/_doc/%s", dst.URL(), index, id), doc)
	}
	// Mapped so that Elasticsearch takes what is planted below.
	call(t, http.MethodPut, dst.URL()+"/"+index, `{"mappings":{"dynamic":false}}`)
	const part = `"Part":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`
	full := `{"id":1,` + part + `,"flag":true,"price":-12.3,"free":100000000000000000000,"ratio":1.1,"wide":0.1,"feel":"sad","code":"x   ","raw":"AP8=",` +
		`"doc":"{\"a\": [1.5, null]}","tags":["a",null,"b c"],"born":20516,"at":1772600767123456,"upd":"2026-03-04T05:06:07.000000Z","took":3723500000,"body":"añ"}`
	put("1", full)
	put("2", `{"id":2,`+part+`}`)
	run := func() *compare.Report {
		t.Helper()
		r, err := compare.PostgresToElasticsearch(t.Context(), src.URL(), dst.URL(), []compare.Pair{{Table: "public.odd", Target: index}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(); !r.Equal() || r.Rows() != 2 || r.Tables[0].Fields != 34 {
		t.Fatalf("want two equal rows of 17 columns:\n%v", r)
	}
	for _, p := range []struct{ old, changed, field string }{
		{`"price":-12.3`, `"price":-12.31`, "price"},
		{`"code":"x   "`, `"code":"x"`, "code"},
		{`"tags":["a",null,"b c"]`, `"tags":["a","b c"]`, "tags"},
		{`"flag":true`, `"flag":"true"`, "flag"},
		{`"upd":"2026-03-04T05:06:07.000000Z"`, `"upd":"2026-03-04T06:06:07.000000Z"`, "upd"},
		{`,"body":"añ"`, ``, "body"},
	} {
		put("1", strings.Replace(full, p.old, p.changed, 1))
		if r := run(); r.Total != 1 || r.Differences[0].Field != p.field {
			t.Errorf("want one difference, in %s:\n%v", p.field, r)
		}
	}
	put("1", full)
	put("3", strings.Replace(full, `"id":1`, `"id":3`, 1))
	put("4", full)
	r := run()
	if r.Total != 2 || r.Differences[0].Kind != compare.Duplicate || r.Differences[1].Kind != compare.Surplus {
		t.Errorf("want a duplicate and a document too many:\n%v", r)
	}
}

// TestElasticsearch_ReadsAllPages has more documents than one answer holds.
func TestElasticsearch_ReadsAllPages(t *testing.T) {
	t.Parallel()
	const rows = 12_345
	src, dst := servers.Postgres(t), servers.Elasticsearch(t)
	index := dst.Index("many")
	if err := src.Exec(t.Context(),
		`CREATE TABLE many (id int PRIMARY KEY, body text)`,
		fmt.Sprintf(`INSERT INTO many SELECT n, 'row ' || n FROM generate_series(1, %d) n`, rows)); err != nil {
		t.Fatal(err)
	}
	var bulk strings.Builder
	for n := 1; n <= rows; n++ {
		fmt.Fprintf(&bulk, "{\"index\":{\"_id\":\"%d\"}}\n{\"id\":%d,\"body\":\"row %d\"}\n", n, n, n)
	}
	call(t, http.MethodPost, dst.URL()+"/"+index+"/_bulk", bulk.String())
	r, err := compare.PostgresToElasticsearch(t.Context(), src.URL(), dst.URL(), []compare.Pair{{Table: "many", Target: index}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Equal() || r.Rows() != rows || r.Tables[0].Documents != rows {
		t.Errorf("want %d equal rows:\n%v", rows, r)
	}
}

func call(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if !strings.HasSuffix(url, "/_bulk") {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 || strings.Contains(string(answer), `"errors":true`) {
		t.Fatalf("%s %s: %s %.500s", method, url, resp.Status, answer)
	}
}
