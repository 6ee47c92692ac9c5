package harness

import java.lang.annotation.Retention
import java.lang.annotation.RetentionPolicy

/** Stands for the annotation by which a Jenkinsfile loads a library. The harness has loaded it already. */
@Retention(RetentionPolicy.RUNTIME)
@interface Library {
    String[] value()
}
