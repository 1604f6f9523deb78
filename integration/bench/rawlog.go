package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// rawSlot reads a slot's changes and drops them, where pg_recvlogical is not
// installed. args: replication URL, slot, publication, last position.
func rawSlot(ctx context.Context, args []string) (int, time.Time, error) {
	end, err := pglogrepl.ParseLSN(args[3])
	if err != nil {
		return 0, time.Time{}, err
	}
	conn, err := pgconn.Connect(ctx, args[0])
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	began, err := start()
	if err != nil {
		return 0, began, err
	}
	options := pglogrepl.StartReplicationOptions{PluginArgs: []string{"proto_version '1'", "publication_names '" + args[2] + "'"}}
	if err := pglogrepl.StartReplication(ctx, conn, args[1], 0, options); err != nil {
		return 0, began, fmt.Errorf("start to read the slot: %w", err)
	}
	for rows := 0; ; {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return rows, began, fmt.Errorf("read the slot: %w", err)
		}
		data, ok := message.(*pgproto3.CopyData)
		if !ok {
			return rows, began, fmt.Errorf("the slot sent a %T", message)
		}
		var at pglogrepl.LSN
		switch data.Data[0] {
		case pglogrepl.XLogDataByteID:
			x, err := pglogrepl.ParseXLogData(data.Data[1:])
			if err != nil {
				return rows, began, err
			}
			at = x.WALStart
			if x.WALData[0] == 'I' {
				rows++
			}
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data.Data[1:])
			if err != nil {
				return rows, began, err
			}
			at = k.ServerWALEnd
			if k.ReplyRequested {
				if err := pglogrepl.SendStandbyStatusUpdate(ctx, conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: 0}); err != nil {
					return rows, began, fmt.Errorf("answer a keepalive: %w", err)
				}
			}
		}
		if at >= end {
			return rows, began, nil
		}
	}
}

// rawBinlog reads a binlog's events and drops them undecoded, where mysqlbinlog
// is not installed. args: host, port, user, password, first file, last file,
// last position.
func rawBinlog(ctx context.Context, args []string) (int, time.Time, error) {
	port, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return 0, time.Time{}, err
	}
	end, err := strconv.ParseUint(args[6], 10, 32)
	if err != nil {
		return 0, time.Time{}, err
	}
	began, err := start()
	if err != nil {
		return 0, began, err
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 98765, Host: args[0], Port: uint16(port), User: args[2], Password: args[3], RawModeEnabled: true,
	})
	defer syncer.Close()
	stream, err := syncer.StartSync(mysql.Position{Name: args[4], Pos: 4})
	if err != nil {
		return 0, began, fmt.Errorf("start to read the binlog: %w", err)
	}
	for {
		event, err := stream.GetEvent(ctx)
		if err != nil {
			return 0, began, fmt.Errorf("read the binlog: %w", err)
		}
		if uint64(event.Header.LogPos) >= end && syncer.GetNextPosition().Name == args[5] {
			return 0, began, nil
		}
	}
}
