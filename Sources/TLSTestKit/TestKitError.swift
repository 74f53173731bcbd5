internal import COpenSSL

/// What went wrong while the kit made something: a code to branch on, and evidence to read.
///
/// Two errors are equal when their ``code`` and ``errno`` are; the texts may improve freely.
public struct TestKitError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    @nonexhaustive
    public enum Code: String, Sendable, Hashable {
        /// OpenSSL refused a call; ``TestKitError/reasons`` holds its words.
        case openSSL
        /// A subject name cannot be encoded, for example `.ip("not an address")`.
        case invalidName
        /// A validity lies outside the years 0 to 9999.
        case invalidValidity
        /// A recipe contradicts itself or holds a malformed object identifier.
        case invalidRecipe
        /// What was to be read is not well formed, for example an OCSP request.
        case malformed
        /// The file system refused; ``TestKitError/errno`` says why.
        case fileSystem
    }

    /// The kind of failure.
    public let code: Code
    /// What the kit was doing, in words.
    public let operation: String
    /// OpenSSL's error queue, oldest first; empty unless ``code`` is ``Code/openSSL``.
    public let reasons: [String]
    /// The system's error number; zero unless ``code`` is ``Code/fileSystem``.
    public let errno: Int32

    init(_ code: Code, _ operation: String, reasons: [String] = [], errno: Int32 = 0) {
        self.code = code
        self.operation = operation
        self.reasons = reasons
        self.errno = errno
    }

    /// The code, the operation and the evidence in one line.
    public var description: String {
        var text = "\(code.rawValue): \(operation)"
        if !reasons.isEmpty { text += " (\(reasons.joined(separator: "; ")))" }
        if errno != 0 { text += " (errno \(errno))" }
        return text
    }

    /// Compares the stable fields only.
    public static func == (left: Self, right: Self) -> Bool {
        left.code == right.code && left.errno == right.errno
    }

    /// Hashes the stable fields only.
    ///
    /// - Parameter hasher: Receives the code and the error number.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(errno)
    }
}

/// Runs one OpenSSL call and turns its failure into an error that carries the whole queue.
///
/// The queue belongs to the thread, so it is cleared right before the call and drained right after
/// it, with nothing in between that could suspend.
///
/// - Parameters:
///   - operation: What the call does, for the error's text.
///   - call: Returns nil when OpenSSL reported failure.
/// - Returns: What `call` returned.
/// - Throws: ``TestKitError`` `.openSSL`.
func openSSL<Result: ~Copyable>(
    _ operation: String,
    _ call: () -> Result?
) throws(TestKitError) -> Result {
    ERR_clear_error()
    guard let result = call() else {
        throw TestKitError(.openSSL, operation, reasons: drainErrorQueue())
    }
    return result
}

/// The form of ``openSSL(_:_:)`` for calls that return a positive number for success.
func openSSL(status operation: String, _ call: () -> Int32) throws(TestKitError) {
    try openSSL(operation) { call() > 0 ? () : nil }
}

/// Empties this thread's OpenSSL error queue, oldest entry first.
private func drainErrorQueue() -> [String] {
    var reasons: [String] = []
    while true {
        var text: UnsafePointer<CChar>?
        let code = unsafe ERR_get_error_all(nil, nil, nil, &text, nil)
        guard code != 0 else { return reasons }
        // Both strings are static or live until the next entry is added; they are copied here.
        var reason =
            unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
            ?? "code \(code)"
        if let text = unsafe text {
            let detail = unsafe String(cString: text)
            if !detail.isEmpty { reason += ": \(detail)" }
        }
        reasons.append(reason)
    }
}
