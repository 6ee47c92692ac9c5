package rundir

import (
	"io/fs"
	"os"
	"path/filepath"
)

// sharedMode is that of a directory that a group may read: what is made in it belongs to the group, too.
const sharedMode = DirMode | fs.ModeSetgid | 0o050

// Share lets a group read a directory and what is made in it from now on: 0750 and 0640 instead of 0700 and 0600.
func Share(dir string, gid int) error {
	if err := os.Chown(dir, -1, gid); err != nil {
		return err
	}
	return os.Chmod(dir, sharedMode)
}

// Shared reports whether a group may read the run directory.
func (d Dir) Shared() bool {
	info, err := os.Lstat(string(d))
	return err == nil && shared(info.Mode())
}

func shared(parent fs.FileMode) bool {
	return parent.IsDir() && parent&fs.ModeSetgid != 0 && parent&0o050 == 0o050
}

// modeBelow is a mode for what is made at rel: a group may read it that may read its directory.
func modeBelow(root *os.Root, rel string, mode fs.FileMode) fs.FileMode {
	info, err := root.Lstat(filepath.Dir(rel))
	if err != nil || !shared(info.Mode()) {
		return mode
	}
	return mode | mode&0o500>>3
}

// mkdir makes one directory, or leaves the one that is there.
func mkdir(root *os.Root, rel string) error {
	if err := root.Mkdir(rel, DirMode); err != nil {
		return err
	}
	if mode := modeBelow(root, rel, DirMode); mode != DirMode {
		return root.Chmod(rel, mode|fs.ModeSetgid)
	}
	return nil
}
