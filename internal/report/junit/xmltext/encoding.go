package xmltext

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

const sniffSize = 1024

// Source is an input as UTF-8.
type Source struct {
	io.Reader
	Encoding string // that it was in, lower case
	Skipped  int64  // bytes of a byte order mark, which offsets have to count
}

// Decode gives r as UTF-8 without byte order mark. The encoding is that of its
// byte order mark, of the shape of its first characters, or what its XML
// declaration says. An encoding that nobody knows is read as UTF-8.
func Decode(r io.Reader) (Source, error) {
	br := bufio.NewReaderSize(r, sniffSize)
	head, err := br.Peek(sniffSize)
	if err != nil && len(head) == 0 && err != io.EOF {
		return Source{}, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		_, err := br.Discard(3)
		return Source{br, "utf-8", 3}, err
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("<\x00")):
		return Source{unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(br), "utf-16le", 0}, nil
	case bytes.HasPrefix(head, []byte("\xFE\xFF")), bytes.HasPrefix(head, []byte("\x00<")):
		return Source{unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().Reader(br), "utf-16be", 0}, nil
	}
	name := declaredEncoding(head)
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
	default:
		if enc := known(name); enc != nil {
			return Source{enc.NewDecoder().Reader(br), name, 0}, nil
		}
	}
	return Source{br, "utf-8", 0}, nil
}

// known is the encoding of a name, nil if nobody knows it, or if what begins
// with readable characters cannot be in it.
func known(name string) encoding.Encoding {
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || strings.HasPrefix(name, "utf-16") || strings.HasPrefix(name, "utf-32") {
		return nil
	}
	return enc
}

// declaredEncoding is what the XML declaration says, in lower case; "" = nothing.
func declaredEncoding(head []byte) string {
	start := bytes.Index(head, []byte("<?xml"))
	if start < 0 {
		return ""
	}
	end := bytes.Index(head[start:], []byte("?>"))
	if end < 0 {
		return ""
	}
	attrs := head[start+len("<?xml") : start+end]
	for {
		attrs = bytes.TrimSpace(attrs)
		a, n, err := ParseAttr(attrs)
		if err != nil {
			return ""
		}
		if string(a.Name) == "encoding" {
			return strings.ToLower(string(a.Value))
		}
		attrs = attrs[n:]
	}
}
