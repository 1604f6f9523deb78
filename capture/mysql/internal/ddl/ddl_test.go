package ddl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// show renders a table in one line.
func show(t *Table) string {
	if t == nil {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s.%s", t.Database, t.Name)
	for _, c := range t.Columns {
		fmt.Fprintf(&b, " | %s %s", c.Name, c.Type)
		if c.Length >= 0 {
			fmt.Fprintf(&b, "(%d", c.Length)
			if c.Scale >= 0 {
				fmt.Fprintf(&b, ",%d", c.Scale)
			}
			b.WriteString(")")
		}
		if c.Members != nil {
			fmt.Fprintf(&b, "%q", c.Members)
		}
		if c.Unsigned {
			b.WriteString(" unsigned")
		}
		if c.Nullable {
			b.WriteString(" null")
		}
		if c.Charset != "" && c.Charset != "binary" {
			b.WriteString(" " + c.Charset)
		}
		if c.Default != nil {
			fmt.Fprintf(&b, " =%s", *c.Default)
			if c.DefaultIsExpression {
				b.WriteString("()")
			}
		}
		if c.AutoIncrement {
			b.WriteString(" auto")
		}
		if c.Generated {
			b.WriteString(" generated")
		}
		if c.Invisible {
			b.WriteString(" invisible")
		}
		if c.Comment != "" {
			fmt.Fprintf(&b, " # %s", c.Comment)
		}
	}
	if key := t.RowKey(); key != nil {
		fmt.Fprintf(&b, " | key %s", strings.Join(key, ","))
	}
	return b.String()
}

func TestCatalogue_CreateTable(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"CREATE TABLE t (id int PRIMARY KEY, v varchar(30))":                                                                                                                          "d.t | id INT | v VARCHAR(30) null utf8mb4 | key id",
		"create table `D`.`t`(`a b` integer unsigned not null auto_increment, key(`a b`), primary key (`a b`)) ;":                                                                     "D.t | a b INT unsigned auto | key a b",
		"CREATE TABLE IF NOT EXISTS t (a int, b int, PRIMARY KEY USING BTREE (b DESC, a))":                                                                                            "d.t | a INT | b INT | key b,a",
		"CREATE OR REPLACE TABLE t (a bool default true, b boolean not null default false)":                                                                                           "d.t | a TINYINT(1) null =1 | b TINYINT(1) =0",
		"CREATE TABLE t (a dec(7), b numeric, c fixed(5,2) unsigned zerofill, d decimal(65,30))":                                                                                      "d.t | a DECIMAL(7,0) null | b DECIMAL(10,0) null | c DECIMAL(5,2) unsigned null | d DECIMAL(65,30) null",
		"CREATE TABLE t (a float(7,3), b float(24), c float(25), d double precision, e real, f float8)":                                                                               "d.t | a FLOAT(7,3) null | b FLOAT null | c DOUBLE null | d DOUBLE null | e DOUBLE null | f DOUBLE null",
		"CREATE TABLE t (a char, b character varying(5), c nchar(3), d national varchar(4), e char(5) byte, f long varbinary, g long varchar)":                                        "d.t | a CHAR(1) null utf8mb4 | b VARCHAR(5) null utf8mb4 | c CHAR(3) null utf8mb3 | d VARCHAR(4) null utf8mb3 | e BINARY(5) null | f MEDIUMBLOB null | g MEDIUMTEXT null utf8mb4",
		"CREATE TABLE t (a text(100), b text(63), c blob(70000), d varchar(9) charset binary, e text character set latin1)":                                                           "d.t | a TEXT null utf8mb4 | b TINYTEXT null utf8mb4 | c MEDIUMBLOB null | d VARBINARY(9) null | e TEXT null latin1",
		"CREATE TABLE t (a varchar(5), b varchar(5) collate latin1_bin, c enum('x','y ''z','ä ')) DEFAULT CHARSET=utf8mb3":                                                            `d.t | a VARCHAR(5) null utf8mb3 | b VARCHAR(5) null latin1 | c ENUM["x" "y 'z" "ä"] null utf8mb3`,
		"CREATE TABLE t (a varchar(5)) COLLATE utf16_general_ci":                                                                                                                      "d.t | a VARCHAR(5) null utf16",
		"CREATE TABLE t (a int DEFAULT '5', b int DEFAULT -3, c varchar(9) DEFAULT 'it''s \\'x\\'', d bit(8) DEFAULT b'101', e binary(2) DEFAULT x'4142', f varchar(9) DEFAULT NULL)": "d.t | a INT null =5 | b INT null =-3 | c VARCHAR(9) null utf8mb4 =it's 'x' | d BIT(8) null =101 | e BINARY(2) null =AB | f VARCHAR(9) null utf8mb4",
		"CREATE TABLE t (a timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), b json DEFAULT (json_array(1, ')')), c char(36) DEFAULT uuid())":        "d.t | a TIMESTAMP(3) =CURRENT_TIMESTAMP(3)() | b JSON null utf8mb4 =(json_array(1, ')'))() | c CHAR(36) null utf8mb4 =uuid()()",
		"CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED NOT NULL, c int AS (a*2) VIRTUAL, d int /*!80023 INVISIBLE */)":                                              "d.t | a INT null | b INT generated | c INT null generated | d INT null invisible",
		"CREATE TABLE t (a int NOT NULL, b int, UNIQUE KEY u (b), UNIQUE (a), CONSTRAINT c FOREIGN KEY (b) REFERENCES o (id) ON DELETE SET NULL ON UPDATE CASCADE, CHECK (a > 0))":    "d.t | a INT | b INT null | key a",
		"CREATE TABLE t (a int REFERENCES o (id) ON DELETE SET NULL, b int NOT NULL REFERENCES o(id) ON UPDATE SET DEFAULT)":                                                          "d.t | a INT null | b INT",
		"CREATE TABLE t (id serial, p point SRID 4326, g geometrycollection)":                                                                                                         "d.t | id BIGINT unsigned auto | p POINT null | g GEOMCOLLECTION null | key id",
		"CREATE TABLE t (a int COMMENT 'x, y) -- z', /* no */ b int # c int\n, c int -- d int\n)":                                                                                     "d.t | a INT null # x, y) -- z | b INT null | c INT null",
		"CREATE TABLE t (a int) ENGINE=InnoDB COMMENT='it''s; (a)' PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)":               "d.t | a INT null",
		"CREATE TABLE t (`key` int, `order` int, INDEX i (`key`), FULLTEXT KEY f (x), SPATIAL INDEX s (y), PRIMARY KEY (`order`))":                                                    "d.t | key INT null | order INT | key order",
		"CREATE TABLE `weird``name` (`a``b` int)":                                                              "d.weird`name | a`b INT null",
		"CREATE TABLE t (1st int, _x int, ünï int)":                                                            "d.t | 1st INT null | _x INT null | ünï INT null",
		"CREATE TABLE t (a int NOT NULL DEFAULT '0',\n  b varchar(3) NOT NULL DEFAULT ''\n) START TRANSACTION": "d.t | a INT =0 | b VARCHAR(3) utf8mb4 =",
	} {
		c := &Catalogue{}
		st, err := c.Apply("d", sql, Mode{})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if len(st.Changes) != 1 || st.Kind != TableStatement {
			t.Errorf("%s: %+v", sql, st)
			continue
		}
		if got := show(st.Changes[0].Table); got != want {
			t.Errorf("%s:\n got %s\nwant %s", sql, got, want)
		}
	}
}

func TestCatalogue_Alter(t *testing.T) {
	t.Parallel()
	const table = "CREATE TABLE t (id int PRIMARY KEY, a varchar(10), b int) CHARSET latin1"
	for sql, want := range map[string]string{
		"ALTER TABLE t ADD c int":                                                                                                "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | c INT null | key id",
		"ALTER TABLE t ADD COLUMN (c int, d int not null)":                                                                       "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | c INT null | d INT | key id",
		"ALTER TABLE t ADD c int FIRST, ADD d int AFTER c":                                                                       "d.t | c INT null | d INT null | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"ALTER TABLE t DROP a, DROP COLUMN b":                                                                                    "d.t | id INT | key id",
		"ALTER TABLE t MODIFY a text, MODIFY COLUMN b bigint FIRST":                                                              "d.t | b BIGINT null | id INT | a TEXT null latin1 | key id",
		"ALTER TABLE t CHANGE id key_id bigint unsigned auto_increment":                                                          "d.t | key_id BIGINT unsigned auto | a VARCHAR(10) null latin1 | b INT null | key key_id",
		"ALTER TABLE t CHANGE a b2 int AFTER b":                                                                                  "d.t | id INT | b INT null | b2 INT null | key id",
		"ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a":                                                               "d.t | id INT | b VARCHAR(10) null latin1 | a INT null | key id",
		"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (b, id)":                                                                "d.t | id INT | a VARCHAR(10) null latin1 | b INT | key b,id",
		"ALTER TABLE t DROP PRIMARY KEY":                                                                                         "d.t | id INT | a VARCHAR(10) null latin1 | b INT null",
		"ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin":                                                     "d.t | id INT | a VARCHAR(10) null utf8mb4 | b INT null | key id",
		"ALTER TABLE t DEFAULT CHARACTER SET utf8mb3, ADD c char(1)":                                                             "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | c CHAR(1) null utf8mb3 | key id",
		"ALTER TABLE t ALTER b SET DEFAULT 5, ALTER COLUMN a SET INVISIBLE":                                                      "d.t | id INT | a VARCHAR(10) null latin1 invisible | b INT null =5 | key id",
		"ALTER TABLE t ENGINE=InnoDB, ALGORITHM=INPLACE, LOCK=NONE, ADD INDEX i (a), ADD c int":                                  "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | c INT null | key id",
		"ALTER TABLE t ADD CONSTRAINT x FOREIGN KEY (b) REFERENCES o (id), DROP FOREIGN KEY y, DROP INDEX z, ADD UNIQUE KEY (b)": "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN (20))":                                                       "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"ALTER IGNORE TABLE d.t ADD c int":                                                                                       "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | c INT null | key id",
		"ALTER TABLE t RENAME TO u":                                                                                              "none",
		"RENAME TABLE t TO u, u TO t":                                                                                            "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"DROP TABLE IF EXISTS t, d.x":                                                                                            "none",
		"DROP DATABASE d":                                                                                                        "none",
		"TRUNCATE t":                                                                                                             "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"CREATE UNIQUE INDEX i ON t (b)":                                                                                         "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"DROP INDEX `PRIMARY` ON t":                                                                                              "d.t | id INT | a VARCHAR(10) null latin1 | b INT null",
		"DROP TEMPORARY TABLE t":                                                                                                 "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"CREATE TEMPORARY TABLE t (x int)":                                                                                       "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
		"ALTER TABLE t ORDER BY b, a":                                                                                            "d.t | id INT | a VARCHAR(10) null latin1 | b INT null | key id",
	} {
		c := &Catalogue{}
		for _, s := range []string{table, sql} {
			if _, err := c.Apply("d", s, Mode{}); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
		if got := show(c.Table("d", "t")); got != want {
			t.Errorf("%s:\n got %s\nwant %s", sql, got, want)
		}
	}
}

func TestCatalogue_TablesNeverChange(t *testing.T) {
	t.Parallel()
	c := &Catalogue{}
	if _, err := c.Apply("d", "CREATE TABLE t (id int PRIMARY KEY, a int, UNIQUE u (a))", Mode{}); err != nil {
		t.Fatal(err)
	}
	before := c.Table("d", "t")
	text := show(before)
	for _, sql := range []string{"ALTER TABLE t CHANGE a b bigint FIRST, DROP PRIMARY KEY", "RENAME TABLE t TO u", "DROP TABLE u"} {
		if _, err := c.Apply("d", sql, Mode{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := show(before); got != text {
		t.Errorf("became %s", got)
	}
}

func TestCatalogue_Databases(t *testing.T) {
	t.Parallel()
	c := &Catalogue{Charset: "latin1", FoldCase: true}
	for _, sql := range []string{
		"CREATE DATABASE IF NOT EXISTS `One` DEFAULT CHARACTER SET = utf8mb4", "CREATE TABLE one.a (x char(1))",
		"CREATE SCHEMA two COLLATE utf16_bin", "CREATE TABLE TWO.b (x char(1))", "ALTER DATABASE two CHARACTER SET greek", "CREATE TABLE two.c (x char(1))",
		"CREATE TABLE three.d (x char(1))", "CREATE TABLE three.e LIKE two.B", "CREATE TABLE three.f (LIKE nothing)",
	} {
		if _, err := c.Apply("", sql, Mode{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, table := range c.Tables() {
		got = append(got, table.Name+" "+table.Columns[0].Charset)
	}
	if want := []string{"a utf8mb4", "d latin1", "e utf16", "b utf16", "c greek"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCatalogue_Errors(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"CREATE TABLE t", "CREATE TABLE t AS SELECT 1", "CREATE TABLE t (a)", "CREATE TABLE t (a int", "RENAME TABLE t u", "DROP TABLE 5"} {
		c := &Catalogue{}
		_, err := c.Apply("d", sql, Mode{})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{
		"", "SELECT 1", "GRANT ALL ON *.* TO u", "CREATE VIEW v AS SELECT 1", "CREATE USER u", "DROP VIEW v", "CREATE PROCEDURE p() BEGIN CREATE TABLE x (a int); END",
		"FLUSH TABLES", "SET @a = 1", "ALTER USER u", "/* comment */", "ALTER TABLE unknown ADD COLUMN x int",
	} {
		c := &Catalogue{}
		st, err := c.Apply("d", sql, Mode{})
		if err != nil || len(st.Changes) > 0 {
			t.Errorf("%s: %+v %v", sql, st, err)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"INSERT INTO t VALUES (1)":                                "d.t",
		"insert low_priority ignore `x`.`y` select * from z":      "x.y",
		"REPLACE t SET a = 1":                                     "d.t",
		"UPDATE t SET a = 1":                                      "d.t",
		"UPDATE a, x.b AS c LEFT JOIN e ON a.i = e.i SET a.v = 1": "d.a x.b d.e",
		"UPDATE (a CROSS JOIN b) SET a.v = 1":                     "d.a d.b",
		"DELETE FROM t WHERE x IN (SELECT y FROM z)":              "d.t",
		"DELETE a, b FROM a JOIN b":                               "d.a d.b d.a d.b",
		"LOAD DATA INFILE 'x' INTO TABLE t (a)":                   "d.t",
		"SELECT * FROM t":                                         "",
		"CREATE TABLE t (a int)":                                  "",
	} {
		var got []string
		for _, n := range Targets("d", sql, Mode{}) {
			got = append(got, n.Database+"."+n.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, sql := range []string{
		"CREATE TABLE t (id int PRIMARY KEY, v varchar(30) DEFAULT 'x', e enum('a','b'), UNIQUE (v)) CHARSET=latin1 COMMENT 'c'",
		"ALTER TABLE t ADD c int FIRST, CHANGE id i bigint, DROP COLUMN v, RENAME TO u", "RENAME TABLE t TO u, u TO t", "DROP TABLE a, b", "CREATE UNIQUE INDEX i ON t (v)",
		"/*!80000 CREATE TABLE t (a int) */", "UPDATE a, b SET c = 1", "CREATE TABLE t (a int DEFAULT (1+(2)), CHECK ((a)))", "`", "'", "/*", "x'", "0x", "b'",
	} {
		f.Add(sql, false, false)
		f.Add(sql, true, true)
	}
	f.Fuzz(func(t *testing.T, sql string, ansi, noEscapes bool) {
		mode := Mode{ANSIQuotes: ansi, NoBackslashEscapes: noEscapes}
		c := &Catalogue{}
		if _, err := c.Apply("d", "CREATE TABLE t (id int PRIMARY KEY, v varchar(30), UNIQUE (v))", Mode{}); err != nil {
			t.Fatal(err)
		}
		st, err := c.Apply("d", sql, mode)
		if err != nil {
			return
		}
		for _, change := range st.Changes {
			if change.Table != nil && len(change.Table.RowKey()) > len(change.Table.Columns) {
				t.Errorf("%q: a key of %d columns in a table of %d", sql, len(change.Table.RowKey()), len(change.Table.Columns))
			}
		}
		Targets("d", sql, mode)
	})
}
