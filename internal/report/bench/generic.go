package bench

// Generic describes a format of the user's own: where in a JSON or CSV file a
// metric stands.
type Generic struct {
	Files string `yaml:"files"` // glob on the file's base name, e.g. mybench_*.json
}
