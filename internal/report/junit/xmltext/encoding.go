package xmltext

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// Source is an input as UTF-8.
type Source struct {
	io.Reader
	Coded   bool  // it was in another encoding
	Skipped int64 // bytes of a byte order mark, which offsets have to count
}

// declaration is the encoding that an XML declaration names.
var declaration = regexp.MustCompile(`<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']`)

// Decode gives r as UTF-8 without byte order mark. The encoding is that of its byte order mark, of the shape of its
// first characters, or what its XML declaration says. An encoding that nobody knows is read as UTF-8.
func Decode(r io.Reader) (Source, error) {
	const sniffSize = 1024
	br := bufio.NewReaderSize(r, sniffSize)
	head, err := br.Peek(sniffSize)
	if err != nil && len(head) == 0 && err != io.EOF {
		return Source{}, err
	}
	var enc encoding.Encoding
	begins := func(with string) bool { return bytes.HasPrefix(head, []byte(with)) }
	switch declared := declaration.FindSubmatch(head); {
	case begins("\xEF\xBB\xBF"):
		_, err := br.Discard(3)
		return Source{br, false, 3}, err
	case begins("\xFF\xFE"), begins("<\x00"):
		enc = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case begins("\xFE\xFF"), begins("\x00<"):
		enc = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case declared != nil:
		enc = known(strings.ToLower(string(declared[1])))
	}
	if enc == nil {
		return Source{Reader: br}, nil
	}
	return Source{enc.NewDecoder().Reader(br), true, 0}, nil
}

// known is the encoding of a name, nil if it is UTF-8, if nobody knows it, or if what
// begins with readable characters cannot be in it.
func known(name string) encoding.Encoding {
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == unicode.UTF8 || name == "us-ascii" || name == "ascii" || strings.HasPrefix(name, "utf-16") || strings.HasPrefix(name, "utf-32") {
		return nil
	}
	return enc
}
