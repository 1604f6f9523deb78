package mysql

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/penstock/penstock/capture"
)

// errLogEnd is where a log ends that is read up to its end, or that of a
// server which shuts down.
var errLogEnd = errors.New("the server ended the stream of its binary log")

// dump is a connection over which the server sends its binary log.
type dump struct {
	cfg      *config
	conn     *conn
	server   *serverInfo
	checksum bool // events carry one
}

// open asks for the log from a position on: by its GTIDs, or by file and
// place. Who follows is a replica in the eyes of the server, which goes on to
// send what comes; other readers get what is there, and then errLogEnd.
func (d *dump) open(ctx context.Context, at *position, byGTID, follow bool) error {
	settings := []string{
		"SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum",
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", heartbeatEvery, heartbeatEvery),
		fmt.Sprintf("SET SESSION net_write_timeout = %d", d.cfg.netWrite),
	}
	if follow {
		settings = append(settings, fmt.Sprintf("SET @slave_uuid = '%[1]s', @replica_uuid = '%[1]s'", d.replicaUUID()))
	}
	if d.cfg.netRead > 0 {
		settings = append(settings, fmt.Sprintf("SET SESSION net_read_timeout = %d", d.cfg.netRead))
	}
	if d.server.mariaDB {
		settings = append(settings, "SET @mariadb_slave_capability = 4")
		if byGTID {
			settings = append(settings, "SET @slave_connect_state = "+quote(at.GTIDs), "SET @slave_gtid_strict_mode = 1")
		}
	}
	for _, sql := range settings {
		if err := d.conn.exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare to read the binary log: %w", err)
		}
	}
	d.checksum = d.server.checksum == "CRC32"
	if follow {
		if err := d.register(ctx); err != nil {
			return err
		}
	}
	return d.request(at, byGTID, follow)
}

// replicaUUID is the same for every start of a connector, by which the server
// ends the connection of an earlier start that it still takes for alive.
func (d *dump) replicaUUID() string {
	sum := sha1.Sum(fmt.Appendf(nil, "penstock/%s/%d", d.cfg.prefix, d.cfg.serverID))
	var g gtid
	copy(g.sid[:], sum[:])
	g.sid[6] = g.sid[6]&0x0f | 0x50
	g.sid[8] = g.sid[8]&0x3f | 0x80
	return string(g.append(nil, flavor{})[:36])
}

// register makes the reader known as a replica, by which SHOW REPLICAS lists
// it.
func (d *dump) register(ctx context.Context) error {
	b := binary.LittleEndian.AppendUint32(nil, d.cfg.serverID)
	for _, text := range []string{"penstock", "", ""} { // host, user, password
		b = append(append(b, byte(len(text))), text...)
	}
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // rank, source id
	if err := d.conn.command(mysql.COM_REGISTER_SLAVE, b); err != nil {
		return err
	}
	if _, err := d.conn.receive(ctx); err != nil {
		if isServerError(err, errAccessDenied, errSpecificAccess) {
			return fmt.Errorf("the user %s may not read the binary log: run GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO %s: %w",
				d.cfg.user, account(d.cfg), err)
		}
		return fmt.Errorf("register as a replica: %w", err)
	}
	return nil
}

// request sends the command after which the server sends events.
func (d *dump) request(at *position, byGTID, follow bool) error {
	const nonBlocking, sendAnnotations = 1, 2
	// Without a number a reader takes nobody's place.
	var flags uint16 = nonBlocking
	var id uint32
	if follow {
		flags, id = 0, d.cfg.serverID
	}
	if byGTID && !d.server.mariaDB {
		set, err := parseGTIDs(d.cfg.flavor, at.GTIDs)
		if err != nil {
			return capture.Permanent(err)
		}
		encoded := set.Encode()
		b := binary.LittleEndian.AppendUint16(nil, flags)
		b = binary.LittleEndian.AppendUint32(b, id)
		b = binary.LittleEndian.AppendUint32(b, 0) // no file name
		b = binary.LittleEndian.AppendUint64(b, 4)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(encoded)))
		return d.conn.command(mysql.COM_BINLOG_DUMP_GTID, append(b, encoded...))
	}
	file, pos := at.File, max(at.Pos, 4)
	if byGTID { // MariaDB goes by @slave_connect_state
		file, pos = "", 4
	}
	if pos > 1<<32-1 {
		return capture.Permanent(fmt.Errorf("the position %d of %s is beyond what the protocol can name; use GTIDs", pos, file))
	}
	if d.server.mariaDB && d.cfg.includeQuery {
		flags |= sendAnnotations
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(pos))
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, id)
	return d.conn.command(mysql.COM_BINLOG_DUMP, append(b, file...))
}

// parse reads the event out of a packet, or what the server says instead.
func (d *dump) parse(packet []byte) (e event, err error) {
	if len(packet) == 0 {
		return e, errShort
	}
	switch packet[0] {
	case 0x00:
	case 0xff:
		return e, readError(serverError(packet), d.cfg)
	default:
		return e, errLogEnd
	}
	packet = packet[1:]
	if len(packet) > 4 && packet[4] == evFormatDescription {
		d.checksum = hasChecksums(packet)
		e, err = parseEvent(packet, false)
	} else {
		e, err = parseEvent(packet, d.checksum)
	}
	return e, capture.Permanent(err)
}

// place is where a reader is in the log.
type place struct {
	file  string
	begin uint64 // of the current event
	end   uint64
}

// rotate takes the event that names the file of those that follow.
func (p *place) rotate(e *event) {
	w := wire{p: e.body}
	pos := w.uint64()
	p.file, p.end, p.begin = string(w.rest()), pos, pos
}

// advance brings the place up to an event.
func (p *place) advance(e *event) {
	if e.inner || e.flags&flagArtificial != 0 {
		return
	}
	if e.logPos == 0 { // MariaDB does not tell within transactions
		p.begin = p.end
		p.end += uint64(e.size)
		return
	}
	// The log has 32 bits of the position only.
	end := p.end&^(1<<32-1) | uint64(e.logPos)
	if end < p.end && p.end-end > 1<<31 {
		end += 1 << 32
	}
	p.end = end
	p.begin = end - min(uint64(e.size), end)
}

// at adds the place in the log to an error.
func (p *place) at(err error) error {
	return fmt.Errorf("binary log %s after position %d: %w", p.file, p.end, err)
}
