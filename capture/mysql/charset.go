package mysql

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// converter appends the UTF-8 form of a text to dst. It is used by one
// goroutine.
type converter func(dst, text []byte) []byte

// oneByte are the character sets of one byte a character.
var oneByte = map[string]*charmap.Charmap{
	"latin1": charmap.Windows1252, "latin2": charmap.ISO8859_2, "latin5": charmap.ISO8859_9, "latin7": charmap.ISO8859_13,
	"greek": charmap.ISO8859_7, "hebrew": charmap.ISO8859_8, "cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251,
	"cp1256": charmap.Windows1256, "cp1257": charmap.Windows1257, "cp850": charmap.CodePage850, "cp852": charmap.CodePage852,
	"cp866": charmap.CodePage866, "koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U, "macroman": charmap.Macintosh,
	"tis620": charmap.Windows874,
}

var manyBytes = map[string]encoding.Encoding{
	"gbk": simplifiedchinese.GBK, "gb2312": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5,
	"sjis": japanese.ShiftJIS, "cp932": japanese.ShiftJIS, "ujis": japanese.EUCJP, "eucjpms": japanese.EUCJP, "euckr": korean.EUCKR,
	"ucs2": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "utf16": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"utf16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf32": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
}

// toUTF8 returns the converter of a character set; nil if its text is UTF-8 as
// it is.
func toUTF8(charset string) (converter, error) {
	switch charset {
	case "utf8mb4", "utf8mb3", "utf8", "ascii", "binary", "":
		return nil, nil
	}
	if m, ok := oneByte[charset]; ok {
		return func(dst, text []byte) []byte {
			for _, b := range text {
				dst = utf8.AppendRune(dst, m.DecodeByte(b))
			}
			return dst
		}, nil
	}
	if e, ok := manyBytes[charset]; ok {
		d := e.NewDecoder()
		return func(dst, text []byte) []byte {
			d.Reset()
			at := len(dst)
			dst = append(dst, make([]byte, 3*len(text))...) // no character of two bytes takes more than three in UTF-8
			n, _, err := d.Transform(dst[at:], text, true)
			if err != nil {
				return utf8.AppendRune(dst[:at+n], utf8.RuneError)
			}
			return dst[:at+n]
		}, nil
	}
	return nil, fmt.Errorf("text in the character set %s cannot be read", charset)
}
