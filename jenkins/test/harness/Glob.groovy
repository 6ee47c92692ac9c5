package harness

import groovy.io.FileType
import java.nio.file.FileSystems
import java.nio.file.PathMatcher

/** Files below a directory by a pattern such as report/** or runs/&#42;/run.json, in order of their names. */
class Glob {
    static List<File> find(File dir, String pattern) {
        PathMatcher matcher = FileSystems.default.getPathMatcher("glob:${pattern}")
        List<File> found = []
        if (dir.isDirectory()) {
            dir.eachFileRecurse(FileType.FILES) { File f ->
                if (matcher.matches(dir.toPath().relativize(f.toPath()))) {
                    found << f
                }
            }
        }
        return found.sort { it.path }
    }
}
