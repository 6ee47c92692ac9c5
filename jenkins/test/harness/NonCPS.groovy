package harness

import java.lang.annotation.Retention
import java.lang.annotation.RetentionPolicy

/** Stands for com.cloudbees.groovy.cps.NonCPS, which Jenkins imports into every script. */
@Retention(RetentionPolicy.RUNTIME)
@interface NonCPS { }
