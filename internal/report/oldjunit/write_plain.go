package junit

import "strings"

// plain reports whether a case has nothing but names, time, properties, results
// and output: nearly all cases of a large report do.
func plain(c *Case) bool {
	if len(c.Attrs)+len(c.Reruns)+len(c.Extra) > 0 {
		return false
	}
	for _, r := range c.Results {
		if len(r.Attrs) > 0 {
			return false
		}
	}
	return true
}

// encodePlain writes a plain case, byte for byte as encoding/xml writes the
// library's structure (a test holds it to that), without going through
// reflection: half of the time of a large merge went there.
func (e *CaseEncoder) encodePlain(c *Case) error {
	b := e.buf[:0]
	b = append(b, `<testcase name="`...)
	b = appendAttrText(b, Clean(c.Name))
	b = append(b, `" classname="`...)
	b = appendAttrText(b, Clean(c.Classname))
	b = append(b, `" time="`...)
	b = append(b, Seconds(c.Time)...)
	b = append(b, `">`...)
	if !e.o.StrictXSD {
		b = appendProperties(b, c.Properties)
	}
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	for _, r := range c.Results {
		b = append(b[:0], '<')
		b = append(b, resultName(r.Status)...)
		b = append(b, ` message="`...)
		b = appendAttrText(b, Clean(r.Message))
		if t := Clean(r.Type); t != "" {
			b = append(b, `" type="`...)
			b = appendAttrText(b, t)
		}
		b = append(b, `">`...)
		if err := e.writeElement(b, r.Text, resultName(r.Status)); err != nil {
			return err
		}
	}
	for _, t := range c.SystemOut {
		if err := e.writeElement(append(b[:0], "<system-out>"...), t, "system-out"); err != nil {
			return err
		}
	}
	for _, t := range c.SystemErr {
		if err := e.writeElement(append(b[:0], "<system-err>"...), t, "system-err"); err != nil {
			return err
		}
	}
	e.buf = b[:0]
	_, err := e.w.WriteString("</testcase>")
	return err
}

func appendProperties(b []byte, props []Property) []byte {
	if len(props) == 0 {
		return b
	}
	b = append(b, "<properties>"...)
	for _, p := range props {
		b = append(b, `<property name="`...)
		b = appendAttrText(b, Clean(p.Name))
		b = append(b, `" value="`...)
		b = appendAttrText(b, Clean(p.Value))
		b = append(b, `"></property>`...)
	}
	return append(b, "</properties>"...)
}

// writeElement writes a start tag that is ready, text as CDATA, and the end tag.
func (e *CaseEncoder) writeElement(start []byte, text, name string) error {
	if _, err := e.w.Write(start); err != nil {
		return err
	}
	if err := e.writeCDATA(Clean(text)); err != nil {
		return err
	}
	_, err := e.w.WriteString("</" + name + ">")
	return err
}

// writeCDATA writes text without copying it, split where it would end the
// section.
func (e *CaseEncoder) writeCDATA(text string) error {
	if text == "" {
		return nil
	}
	parts := []string{"<![CDATA["}
	for {
		before, after, ok := strings.Cut(text, "]]>")
		if !ok {
			break
		}
		parts = append(parts, before, "]]]]><![CDATA[>")
		text = after
	}
	for _, p := range append(parts, text, "]]>") {
		if _, err := e.w.WriteString(p); err != nil {
			return err
		}
	}
	return nil
}

// appendAttrText escapes clean text for an attribute, as encoding/xml does.
func appendAttrText(dst []byte, s string) []byte {
	last := 0
	for i := range len(s) {
		esc := ""
		switch s[i] {
		case '"':
			esc = "&#34;"
		case '\'':
			esc = "&#39;"
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '\t':
			esc = "&#x9;"
		case '\n':
			esc = "&#xA;"
		case '\r':
			esc = "&#xD;"
		default:
			continue
		}
		dst = append(dst, s[last:i]...)
		dst = append(dst, esc...)
		last = i + 1
	}
	return append(dst, s[last:]...)
}
