package baseline

import (
	"cmp"
	"maps"
	"slices"
)

// Split is how records that lack the cluster in their match values get it.
type Split struct {
	Records []Record // as they become
	Old     []string // ids under which these are stored now
	Moved   []Move   // of runs
	Unknown int      // records of which nothing says the cluster
}

// Move counts the runs of one series that go to one cluster.
type Move struct {
	Case    string
	Match   map[string]string // as it was
	Cluster string
	Runs    int
}

// SplitByCluster gives each record the cluster that it names itself, an act that of the
// run that it is about, and where nothing names one the given cluster, if any. What
// refers to a run by its id refers to the new one.
func SplitByCluster(records []Record, to string) Split {
	var out Split
	moved := map[string]Record{} // by old id
	for _, r := range records {
		if r.Kind == KindRun && r.Match[ClusterKey] == "" {
			out.move(r, cmp.Or(r.Cluster, to), moved)
		}
	}
	for _, r := range records {
		if r.Kind == KindRun || r.Act.Target == "" || r.Match[ClusterKey] != "" {
			continue
		}
		out.move(r, cmp.Or(moved[r.Act.Target].Cluster, to), moved)
	}
	for i := range out.Records {
		out.Records[i].redirect(moved)
	}
	return out
}

func (s *Split) move(r Record, cluster string, moved map[string]Record) {
	if cluster == "" {
		s.Unknown++
		return
	}
	if r.Kind == KindRun {
		s.count(r, cluster)
		r.Cluster = cluster
	}
	match := maps.Clone(r.Match)
	if match == nil {
		match = map[string]string{}
	}
	match[ClusterKey] = cluster
	s.Old = append(s.Old, r.ID)
	moved[r.ID] = r.Rehomed(match)
	s.Records = append(s.Records, moved[r.ID])
}

func (s *Split) count(r Record, cluster string) {
	for i := range s.Moved {
		m := &s.Moved[i]
		if m.Case == r.Case && m.Cluster == cluster && maps.Equal(m.Match, r.Match) {
			m.Runs++
			return
		}
	}
	s.Moved = append(s.Moved, Move{Case: r.Case, Match: r.Match, Cluster: cluster, Runs: 1})
}

// redirect follows runs that have moved.
func (r *Record) redirect(moved map[string]Record) {
	r.Measurements = slices.Clone(r.Measurements)
	for i := range r.Measurements {
		if to, ok := moved[r.Measurements[i].Onset]; ok {
			r.Measurements[i].Onset = to.ID
		}
	}
	if r.Kind == KindRun {
		return
	}
	act := *r.Act
	if to, ok := moved[act.Target]; ok {
		act.Target = to.ID
	}
	r.Act = &act
	r.ID = r.NewID() // what was done is part of an act's id
}
