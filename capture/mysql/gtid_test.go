package mysql

import "testing"

// TestGTIDSet_TakesTheFirstTransactionOfAServer begins, as on a new server,
// with no transaction at all.
func TestGTIDSet_TakesTheFirstTransactionOfAServer(t *testing.T) {
	t.Parallel()
	s, err := newGTIDSet(flavor{mariaDB: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.add(gtid{domain: 0, server: 2, number: 1}); err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), "0-2-1"; got != want {
		t.Errorf("the set is %q, want %q", got, want)
	}
}

func TestGTIDSet_Without(t *testing.T) {
	t.Parallel()
	const a, b = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-aaaaaaaaaaaa"
	for _, c := range []struct{ set, one, want string }{
		{a + ":1-5," + b + ":7", a + ":3", a + ":1-2:4-5," + b + ":7"},
		{a + ":1-5", a + ":1", a + ":2-5"},
		{a + ":1-5", a + ":5", a + ":1-4"},
		{a + ":1-5," + b + ":7", b + ":7", a + ":1-5"},
		{a + ":7", a + ":7", ""},
		{a + ":1-5", b + ":2", a + ":1-5"},
		{a + ":1-5:tag:1-3", a + ":tag:2", a + ":1-5:tag:1:3"},
		{a + ":1-5:tag:1-3", a + ":2", a + ":1:3-5:tag:1-3"},
	} {
		s, err := newGTIDSet(flavor{}, c.set)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.without(c.one); err != nil || got != c.want {
			t.Errorf("%s without %s is %q, want %q (%v)", c.set, c.one, got, c.want, err)
		}
	}
}

func TestPreparedSet_BoundsWhatItHolds(t *testing.T) {
	t.Parallel()
	var s preparedSet
	const n = heldAll/heldEach + 3
	for i := range n {
		s.add(prepared{XID: xidText(1, []byte{byte(i)}, nil), File: "binlog.000001", Pos: 4, events: make([]byte, heldEach)})
	}
	sum := 0
	for i, p := range s.list {
		sum += len(p.events)
		if held := p.events != nil; held != (i >= 3) { // the oldest were given up
			t.Errorf("%s is held: %v", p.XID, held)
		}
	}
	if s.held != sum || sum > heldAll {
		t.Errorf("%d bytes are counted and %d held", s.held, sum)
	}
	read, err := parsePrepared(s.String())
	if err != nil || len(read.list) != n || read.list[1].XID != "X'01',X'',1" {
		t.Errorf("read again: %+v (%v)", read.list, err)
	}
	for len(s.list) > 0 {
		s.remove(s.list[0].XID)
	}
	if s.held != 0 || s.String() != "" {
		t.Errorf("nothing is left, but %d bytes and %q", s.held, s.String())
	}
}
