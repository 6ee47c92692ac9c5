package merge

import junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"

// properties is a list of properties without repetitions, in the order in which
// they came.
type properties struct {
	list []junit.Property
	seen map[junit.Property]bool
}

func (p *properties) add(more ...junit.Property) {
	if p.seen == nil {
		p.seen = make(map[junit.Property]bool)
	}
	for _, one := range more {
		if !p.seen[one] {
			p.seen[one] = true
			p.list = append(p.list, one)
		}
	}
}
