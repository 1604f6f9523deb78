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
