package hudson

/** Stands in for the class of that name in Jenkins: a failure without a stack trace. */
class AbortException extends IOException {
    AbortException(String message) { super(message) }
}
