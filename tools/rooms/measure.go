package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uudashr/gocognit"
)

// pkg is what is measured of a package.
type pkg struct {
	dir                   string
	lines, tests          int // of production code, of tests
	lengths               []int
	cognitive, cyclomatic int // of the worst function
	exported              int
	files                 map[string]int // lines by path
	methods, fields       map[string]int // by type
	in, out               map[string]bool
	wide                  []string // lines of comments that are over the limit, as file:line
}

// measure measures every package below root. Test files count as lines only.
func measure(root string) ([]*pkg, error) {
	files, err := goFiles(root)
	if err != nil {
		return nil, err
	}
	byDir := map[string]*pkg{}
	for _, rel := range files {
		dir := path.Dir(rel)
		p := byDir[dir]
		if p == nil {
			p = &pkg{dir: dir, files: map[string]int{}, methods: map[string]int{}, fields: map[string]int{}, in: map[string]bool{}, out: map[string]bool{}}
			byDir[dir] = p
		}
		if err := p.add(root, rel); err != nil {
			return nil, err
		}
	}
	for _, p := range byDir {
		p.resolve(byDir)
	}
	packages := make([]*pkg, 0, len(byDir))
	for _, p := range byDir {
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	return packages, nil
}

// goFiles are the paths below root of its Go files, with slashes.
func goFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}

// wideComments are the lines of a file that are nothing but a comment, and wider than one is read. A directive is none.
func wideComments(rel string, text []byte) []string {
	var wide []string
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimRight(line, "\n")
		if bytes.HasPrefix(bytes.TrimLeft(line, "\t"), []byte("// ")) && utf8.RuneCount(line) > maxColumns {
			wide = append(wide, fmt.Sprintf("%s:%d", rel, n))
		}
	}
	return wide
}

// resolve leaves the imports of this module in p.out and tells the packages behind them.
func (p *pkg) resolve(byDir map[string]*pkg) {
	for imported := range p.out {
		target := targetOf(imported, byDir)
		if target == nil {
			delete(p.out, imported)
			continue
		}
		target.in[p.dir] = true
	}
}

// targetOf is the package of this module that an import path names.
func targetOf(imported string, byDir map[string]*pkg) *pkg {
	for rest := imported; ; {
		if p := byDir[rest]; p != nil {
			return p
		}
		_, after, ok := strings.Cut(rest, "/")
		if !ok {
			return nil
		}
		rest = after
	}
}

func (p *pkg) add(root, rel string) error {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
	if err != nil {
		return err
	}
	n := bytes.Count(text, []byte("\n"))
	p.files[rel] = n
	p.wide = append(p.wide, wideComments(rel, text)...)
	if strings.HasSuffix(rel, "_test.go") {
		p.tests += n
		return nil
	}
	p.lines += n
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, rel, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, i := range file.Imports {
		p.out[strings.Trim(i.Path.Value, `"`)] = true
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			p.function(fset, d)
		case *ast.GenDecl:
			p.declaration(d)
		}
	}
	return nil
}

func (p *pkg) function(fset *token.FileSet, f *ast.FuncDecl) {
	p.lengths = append(p.lengths, fset.Position(f.End()).Line-fset.Position(f.Pos()).Line+1)
	p.cognitive = max(p.cognitive, gocognit.Complexity(f))
	p.cyclomatic = max(p.cyclomatic, cyclomatic(f))
	if f.Name.IsExported() {
		p.exported++
	}
	if f.Recv != nil {
		p.methods[receiver(f.Recv.List[0].Type)]++
	}
}

func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

func (p *pkg) declaration(d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				p.exported++
			}
			if st, ok := s.Type.(*ast.StructType); ok {
				p.fields[s.Name.Name] = st.Fields.NumFields()
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() {
					p.exported++
				}
			}
		}
	}
}

// cyclomatic is the number of independent paths through a function.
func cyclomatic(f *ast.FuncDecl) int {
	n := 1
	ast.Inspect(f, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}
