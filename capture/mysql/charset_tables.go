package mysql

import (
	"encoding/binary"
	"slices"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// run maps codes to characters that follow each other. In codes of several
// bytes the last one counts from the last byte of from to that of to, leaving
// out 0x7f, before the one before it does.
type run struct {
	from, to uint32
	first    rune
}

// each lists the codes and characters of the run.
func (r run) each(f func(code uint32, c rune)) {
	c := r.first
	for row := r.from >> 8; row <= r.to>>8; row++ {
		for last := r.from & 0xff; last <= r.to&0xff; last++ {
			if last == 0x7f {
				continue
			}
			f(row<<8|last, c)
			c++
		}
	}
}

// letters are runs of one character each.
func letters(from uint32, text string) []run {
	var runs []run
	for _, c := range text {
		runs = append(runs, run{from, from, c})
		from++
	}
	return runs
}

// The C1 control characters, which some standards leave out.
var controls = run{0x80, 0x9f, 0x80}

// oneByte are the character sets of one byte a character. Where the server
// differs from the standard of the name, the server is followed.
var oneByte = map[string]func() *byteTable{
	"latin1":   fromCharmap(charmap.Windows1252, run{0x81, 0x81, 0x81}, run{0x8d, 0x8d, 0x8d}, run{0x8f, 0x90, 0x8f}, run{0x9d, 0x9d, 0x9d}),
	"latin2":   fromCharmap(charmap.ISO8859_2, controls),
	"latin5":   fromCharmap(charmap.ISO8859_9, controls),
	"latin7":   fromCharmap(charmap.ISO8859_13, controls),
	"greek":    fromCharmap(charmap.ISO8859_7, controls, run{0xa1, 0xa1, 'ʽ'}, run{0xa2, 0xa2, 'ʼ'}),
	"hebrew":   fromCharmap(charmap.ISO8859_8, controls, run{0xaf, 0xaf, '‾'}),
	"cp1250":   fromCharmap(charmap.Windows1250),
	"cp1251":   fromCharmap(charmap.Windows1251),
	"cp1256":   fromCharmap(charmap.Windows1256),
	"cp1257":   fromCharmap(charmap.Windows1257),
	"cp850":    fromCharmap(charmap.CodePage850),
	"cp852":    fromCharmap(charmap.CodePage852),
	"cp866":    fromCharmap(charmap.CodePage866, run{0xfc, 0xfc, 'ⁿ'}, run{0xfd, 0xfd, '²'}),
	"koi8r":    fromCharmap(charmap.KOI8R),
	"koi8u":    fromCharmap(charmap.KOI8U, run{0x95, 0x95, '•'}, run{0xae, 0xae, '╝'}, run{0xbe, 0xbe, '╬'}),
	"macroman": fromCharmap(charmap.Macintosh),
	"tis620":   fromCharmap(charmap.Windows874, controls),
	"dec8": fromLetters(0xa0, "\u00a0¡¢£\ufffd¥\ufffd§¤©ª«\ufffd\ufffd\ufffd\ufffd°±²³\ufffdµ¶·\ufffd¹º»¼½\ufffd¿"+
		"ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ\ufffdÑÒÓÔÕÖŒØÙÚÛÜŸ\ufffdßàáâãäåæçèéêëìíîï\ufffdñòóôõöœøùúûüÿ\ufffd\ufffd"),
	"hp8":      fromLetters(0xa0, "\u00a0ÀÂÈÊËÎÏ´ˋˆ¨˜ÙÛ₤¯Ýý°ÇçÑñ¡¿¤£¥§ƒ¢âêôûáéóúàèòùäëöüÅîØÆåíøæÄìÖÜÉïßÔÁÃãÐðÍÌÓÒÕõŠšÚŸÿÞþ·µ¶¾—¼½ªº«■»±\ufffd"),
	"armscii8": fromLetters(0xa0, "\u00a0❁§։)(»«—.՝,-՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’'"),
	"geostd8": fromLetters(0x80, "€\ufffd‚\ufffd„…†‡\ufffd‰\ufffd‹\ufffd\ufffd\ufffd\ufffd\ufffd‘’“”•–—\ufffd\ufffd\ufffd›\ufffd\ufffd\ufffd\ufffd"+
		"\u00a0¡¢£¤¥¦§¨©ª«¬\u00ad®¯°±²³´µ¶·¸¹º»¼½¾¿აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ"+
		"\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd№\ufffd\ufffd"),
	"keybcs2": fromLetters(0x80, "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"+
		"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"),
	"macce": fromLetters(0x80, "ÄĀāÉĄÖÜáąČäčĆćéŹźĎíďĒēĖóėôöõúĚěü†°Ę£§•¶ß®©™ę¨≠ģĮįĪ≤≥īĶ∂∑łĻļĽľĹĺŅņŃ¬√ńŇ∆«»…\u00a0ňŐÕőŌ–—“”‘’÷◊ōŔŕŘ‹›řŖŗŠ‚„šŚśÁŤťÍŽžŪÓÔūŮÚůŰűŲųÝýķŻŁżĢˇ"),
}

// manyBytes are those of up to four bytes a character.
var manyBytes = map[string]func() *codeTable{
	"gbk":     fromEncoding(simplifiedchinese.GBK),
	"gb2312":  fromEncoding(simplifiedchinese.GBK, run{0xa1a4, 0xa1a4, '・'}, run{0xa1aa, 0xa1aa, '―'}),
	"gb18030": fromEncoding(simplifiedchinese.GB18030, gb18030Runs...),
	"big5":    fromEncoding(traditionalchinese.Big5, big5Runs...),
	"euckr":   fromEncoding(korean.EUCKR),
	"sjis":    fromEncoding(japanese.ShiftJIS, sjisRuns...),
	"cp932":   fromEncoding(japanese.ShiftJIS, run{0xf040, 0xf9fc, 0xe000}),
	"ujis":    fromEncoding(japanese.EUCJP, ujisRuns...),
	"eucjpms": fromEncoding(japanese.EUCJP, eucjpmsRuns...),
}

var big5Runs = []run{
	{0xa145, 0xa145, '•'},
	{0xa14e, 0xa14e, '､'},
	{0xa1c2, 0xa1c2, '‾'},
	{0xa1e3, 0xa1e3, '∼'},
	{0xa1f2, 0xa1f2, '♁'},
	{0xa1f3, 0xa1f3, '☉'},
	{0xa241, 0xa241, '／'},
	{0xa242, 0xa242, '＼'},
	{0xa244, 0xa244, '¥'},
	{0xa246, 0xa247, '¢'},
	{0xc6a1, 0xc6a1, 'ヾ'},
	{0xc6a2, 0xc6a3, 'ゝ'},
	{0xc6a4, 0xc6a4, '々'},
	{0xc6a5, 0xc6f7, 'ぁ'},
	{0xc6f8, 0xc6fe, 'ァ'},
	{0xc740, 0xc77e, 'エ'},
	{0xc7a1, 0xc7b0, 'ョ'},
	{0xc7b1, 0xc7b2, 'Д'},
	{0xc7b3, 0xc7b3, 'Ё'},
	{0xc7b4, 0xc7ba, 'Ж'},
	{0xc7bb, 0xc7cd, 'У'},
	{0xc7ce, 0xc7ce, 'ё'},
	{0xc7cf, 0xc7e8, 'ж'},
	{0xc7e9, 0xc7f2, '①'},
	{0xc7f3, 0xc7fc, '⑴'},
}

// gb18030Runs are mostly of the private use area, which later versions of the
// standard gave to other characters.
var gb18030Runs = []run{
	{0xa140, 0xa2a0, 0xe4c6},
	{0xa2ab, 0xa2b0, 0xe766},
	{0xa2e4, 0xa2e4, 0xe76d},
	{0xa2ef, 0xa2f0, 0xe76e},
	{0xa2fd, 0xa2fe, 0xe770},
	{0xa340, 0xa4a0, 0xe586},
	{0xa4f4, 0xa4fe, 0xe772},
	{0xa540, 0xa5a0, 0xe646},
	{0xa5f7, 0xa5fe, 0xe77d},
	{0xa640, 0xa6a0, 0xe6a6},
	{0xa6b9, 0xa6c0, 0xe785},
	{0xa6d9, 0xa6df, 0xe78d},
	{0xa6ec, 0xa6ed, 0xe794},
	{0xa6f3, 0xa6f3, 0xe796},
	{0xa6f6, 0xa6fe, 0xe797},
	{0xa740, 0xa7a0, 0xe706},
	{0xa7c2, 0xa7d0, 0xe7a0},
	{0xa7f2, 0xa7fe, 0xe7af},
	{0xa896, 0xa8a0, 0xe7bc},
	{0xa8bc, 0xa8bc, 'ḿ'},
	{0xa8c1, 0xa8c4, 0xe7c9},
	{0xa8ea, 0xa8fe, 0xe7cd},
	{0xa958, 0xa958, 0xe7e2},
	{0xa95b, 0xa95b, 0xe7e3},
	{0xa95d, 0xa95f, 0xe7e4},
	{0xa997, 0xa9a3, 0xe7f4},
	{0xa9f0, 0xa9fe, 0xe801},
	{0xaaa1, 0xaffe, 0xe000},
	{0xd7fa, 0xd7fe, 0xe810},
	{0xf8a1, 0xfdfe, 0xe234},
	{0xfe51, 0xfe53, 0xe816},
	{0xfe59, 0xfe59, 0xe81e},
	{0xfe61, 0xfe61, 0xe826},
	{0xfe66, 0xfe67, 0xe82b},
	{0xfe6c, 0xfe6d, 0xe831},
	{0xfe76, 0xfe76, 0xe83b},
	{0xfe7e, 0xfe7e, 0xe843},
	{0xfe90, 0xfe91, 0xe854},
	{0xfea0, 0xfea0, 0xe864},
	{0xfea1, 0xfefe, 0xe468},
	{0x8135f437, 0x8135f437, 0xe7c7},
}

var sjisRuns = []run{
	{0x815f, 0x815f, '\\'}, {0x8160, 0x8160, '〜'}, {0x8161, 0x8161, '‖'}, {0x817c, 0x817c, '−'}, {0x8191, 0x8192, '¢'}, {0x81ca, 0x81ca, '¬'},
}

var ujisRuns = []run{
	{0xa1c0, 0xa1c0, '\\'},
	{0xa1c1, 0xa1c1, '〜'},
	{0xa1c2, 0xa1c2, '‖'},
	{0xa1dd, 0xa1dd, '−'},
	{0xa1f1, 0xa1f2, '¢'},
	{0xa2cc, 0xa2cc, '¬'},
	{0xf5a1, 0xfefe, 0xe000},
	{0x8fa2b7, 0x8fa2b7, '~'},
	{0x8ff5a1, 0x8ffefe, 0xe3ac},
}

var eucjpmsRuns = slices.Concat(
	[]run{{0xf5a1, 0xfefe, 0xe000}, {0x8fa2c3, 0x8fa2c3, '￤'}, {0x8ff5a1, 0x8ffefe, 0xe3ac}},
	letters(0x8ff3f3, "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ"),
	letters(0x8ff4a1, "ⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤\ufa0e咊坙\ufa0f\ufa10增寬峵嵓\ufa11德悅愠敎昻晥\ufa12\uf929栁\ufa13\ufa14橫櫢淸淲瀨\ufa15\ufa16甁皂皞\ufa17礰\ufa18\ufa19\ufa1a\ufa1b竧\ufa1c\ufa1d綠緖\ufa1e荢\ufa1f薰\ufa20\ufa21蠇\ufa22譿賴赶\ufa23\ufa24\ufa25郞\ufa26鄕\ufa27\ufa28閒\uf9dc\ufa29霻靍靑\ufa2a\ufa2b\ufa2c馞髙魲\ufa2d黑"),
)

// byteTable has the characters of the bytes from 0x80 on.
type byteTable [128]rune

func fromCharmap(m *charmap.Charmap, runs ...run) func() *byteTable {
	return sync.OnceValue(func() *byteTable {
		t := &byteTable{}
		for i := range t {
			t[i] = m.DecodeByte(byte(0x80 + i))
		}
		for _, r := range runs {
			r.each(func(code uint32, c rune) { t[code-0x80] = c })
		}
		return t
	})
}

// fromLetters lists the characters from a byte on; control characters are
// before it.
func fromLetters(from int, letters string) func() *byteTable {
	return sync.OnceValue(func() *byteTable {
		t := &byteTable{}
		for i := range t {
			t[i] = rune(0x80 + i)
		}
		at := from - 0x80
		for _, r := range letters {
			t[at] = r
			at++
		}
		return t
	})
}

func (t *byteTable) convert(dst, text []byte) ([]byte, bool) {
	ok := true
	for _, b := range text {
		if b < utf8.RuneSelf {
			dst = append(dst, b)
			continue
		}
		r := t[b-0x80]
		ok = ok && r != utf8.RuneError
		dst = utf8.AppendRune(dst, r)
	}
	return dst, ok
}

// codeTable has the characters of codes of one, two and three bytes; 0 stands
// for none.
type codeTable struct {
	one   [256]uint16
	two   [1 << 16]uint16
	three *[1 << 16]uint16 // behind a byte 0x8f
	// four are codes of four bytes, and others are what to ask for the rest;
	// nil if there are none.
	four   []run
	others encoding.Encoding
}

// fromEncoding makes the table of an encoding; the runs win over it.
func fromEncoding(e encoding.Encoding, runs ...run) func() *codeTable {
	return sync.OnceValue(func() *codeTable {
		t := &codeTable{}
		d := e.NewDecoder()
		decode := func(code ...byte) uint16 {
			var out [8]byte
			d.Reset()
			n, _, err := d.Transform(out[:], code, true)
			r, size := utf8.DecodeRune(out[:n])
			if err != nil || size != n || r == utf8.RuneError || r > 0xffff {
				return 0
			}
			return uint16(r)
		}
		for a := range 256 {
			t.one[a] = decode(byte(a))
			if a < 0x80 || t.one[a] != 0 {
				continue
			}
			for b := 0x30; b < 256; b++ {
				t.two[a<<8|b] = decode(byte(a), byte(b))
			}
		}
		switch e {
		case japanese.EUCJP:
			t.three = &[1 << 16]uint16{}
			for a := 0xa1; a < 0xff; a++ {
				for b := 0xa1; b < 0xff; b++ {
					t.three[a<<8|b] = decode(0x8f, byte(a), byte(b))
				}
			}
		case simplifiedchinese.GB18030:
			t.others = e
		}
		for _, r := range runs {
			r.each(func(code uint32, c rune) {
				switch {
				case code > 0xffffff:
					t.four = append(t.four, run{code, code, c})
				case code > 0xffff: // the first of the three is 0x8f
					t.three[code&0xffff] = uint16(c)
				default:
					t.two[code] = uint16(c)
				}
			})
		}
		return t
	})
}

func (t *codeTable) convert(dst, text []byte) ([]byte, bool) {
	ok := true
	for len(text) > 0 {
		if b := text[0]; b < utf8.RuneSelf {
			dst = append(dst, b)
			text = text[1:]
			continue
		}
		r, n := t.character(text)
		if n == 0 {
			r, n, ok = utf8.RuneError, 1, false
		}
		dst = utf8.AppendRune(dst, r)
		text = text[n:]
	}
	return dst, ok
}

// character returns the first character and how many bytes it takes; 0 if it
// is none.
func (t *codeTable) character(text []byte) (rune, int) {
	if r := t.one[text[0]]; r != 0 {
		return rune(r), 1
	}
	if len(text) < 2 {
		return 0, 0
	}
	if r := t.two[int(text[0])<<8|int(text[1])]; r != 0 {
		return rune(r), 2
	}
	if t.three != nil && text[0] == 0x8f && len(text) >= 3 {
		if r := t.three[int(text[1])<<8|int(text[2])]; r != 0 {
			return rune(r), 3
		}
	}
	if t.others != nil && len(text) >= 4 {
		return t.ofFour(text[:4])
	}
	return 0, 0
}

func (t *codeTable) ofFour(code []byte) (rune, int) {
	for _, r := range t.four {
		if r.from == binary.BigEndian.Uint32(code) {
			return r.first, 4
		}
	}
	var out [8]byte
	n, _, err := t.others.NewDecoder().Transform(out[:], code, true)
	r, size := utf8.DecodeRune(out[:n])
	if err != nil || size != n || r == utf8.RuneError {
		return 0, 0
	}
	return r, 4
}
