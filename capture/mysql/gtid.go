package mysql

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"
)

// gtidSet is the set of transactions that are completed. Numbers that follow
// one another are kept beside the set until it is looked at, since that is
// what a log brings.
type gtidSet struct {
	flavor flavor
	known  bool // the server has GTIDs
	// partial says that transactions before those that were added are not
	// known, so that the set says nothing until the log tells all of it.
	partial bool
	my      mysql.MysqlGTIDSet
	maria   *mysql.MariadbGTIDSet
	run     gtid
	first   int64 // of the run; 0 if there is none
	text    string
	stale   bool // text is not up to date
}

// gtid is the number of one transaction.
type gtid struct {
	// MySQL: the server's UUID, a tag, and a number.
	sid [16]byte
	tag string
	// MariaDB: domain and server.
	domain, server uint32
	number         int64
}

func newGTIDSet(f flavor, text string) (*gtidSet, error) {
	s := &gtidSet{flavor: f, stale: true}
	if f.mariaDB {
		s.maria = &mysql.MariadbGTIDSet{Sets: map[uint32]*mysql.MariadbGTID{}}
	} else {
		s.my = mysql.NewMysqlGTIDSet()
	}
	if text == "" {
		return s, nil
	}
	parsed, err := parseGTIDs(f, text)
	if err != nil {
		return nil, err
	}
	s.known = true
	switch p := parsed.(type) {
	case *mysql.MysqlGTIDSet:
		s.my = *p
	case *mysql.MariadbGTIDSet:
		s.maria = p
	}
	return s, nil
}

// add puts a transaction into the set.
func (s *gtidSet) add(g gtid) error {
	if s.partial {
		return nil
	}
	s.stale, s.known = true, true
	if s.flavor.mariaDB {
		return s.maria.AddSet(&mysql.MariadbGTID{DomainID: g.domain, ServerID: g.server, SequenceNumber: uint64(g.number)})
	}
	if s.first > 0 && g.number == s.run.number+1 && g.sid == s.run.sid && g.tag == s.run.tag {
		s.run.number = g.number
		return nil
	}
	s.flush()
	s.run, s.first = g, g.number
	return nil
}

// flush puts the run into the set.
func (s *gtidSet) flush() {
	if s.first == 0 {
		return
	}
	id, tag := uuid.UUID(s.run.sid), mysql.NewTag(s.run.tag)
	if s.my[id] == nil {
		s.my[id] = map[mysql.Tag]mysql.IntervalSlice{}
	}
	s.my[id][tag] = append(s.my[id][tag], mysql.Interval{Start: s.first, Stop: s.run.number + 1}).Normalize()
	s.first = 0
}

// String returns the set in the server's notation; it is empty if the server
// has no GTIDs.
func (s *gtidSet) String() string {
	if !s.known || !s.stale {
		return s.text
	}
	s.stale = false
	if s.flavor.mariaDB {
		s.text = s.maria.String()
	} else {
		s.flush()
		s.text = s.my.String()
	}
	return s.text
}

// append renders one number as the server does.
func (g *gtid) append(dst []byte, f flavor) []byte {
	if f.mariaDB {
		dst = append(strconv.AppendUint(dst, uint64(g.domain), 10), '-')
		dst = append(strconv.AppendUint(dst, uint64(g.server), 10), '-')
		return strconv.AppendInt(dst, g.number, 10)
	}
	var b [36]byte
	hex.Encode(b[0:8], g.sid[0:4])
	hex.Encode(b[9:13], g.sid[4:6])
	hex.Encode(b[14:18], g.sid[6:8])
	hex.Encode(b[19:23], g.sid[8:10])
	hex.Encode(b[24:], g.sid[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	dst = append(dst, b[:]...)
	if g.tag != "" {
		dst = append(append(dst, ':'), g.tag...)
	}
	return strconv.AppendInt(append(dst, ':'), g.number, 10)
}

// without returns the set without one transaction, in MySQL's notation.
func (s *gtidSet) without(text string) (string, error) {
	all, err := mysql.ParseMysqlGTIDSet(s.String())
	if err != nil {
		return "", fmt.Errorf("GTIDs: %w", err)
	}
	one, err := mysql.ParseMysqlGTIDSet(text)
	if err != nil {
		return "", fmt.Errorf("GTID %q: %w", text, err)
	}
	set := *all.(*mysql.MysqlGTIDSet)
	for id, tags := range *one.(*mysql.MysqlGTIDSet) {
		for tag, intervals := range tags {
			if set[id] == nil {
				continue
			}
			for _, i := range intervals {
				set[id][tag] = cutInterval(set[id][tag], i)
			}
			if len(set[id][tag]) == 0 {
				delete(set[id], tag)
			}
		}
		if len(set[id]) == 0 {
			delete(set, id)
		}
	}
	return set.String(), nil
}

// cutInterval returns intervals without what is in one.
func cutInterval(from mysql.IntervalSlice, what mysql.Interval) mysql.IntervalSlice {
	var out mysql.IntervalSlice
	for _, i := range from {
		if i.Start < what.Start {
			out = append(out, mysql.Interval{Start: i.Start, Stop: min(i.Stop, what.Start)})
		}
		if i.Stop > what.Stop {
			out = append(out, mysql.Interval{Start: max(i.Start, what.Stop), Stop: i.Stop})
		}
	}
	return out
}
