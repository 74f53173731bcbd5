internal import Glibc

/// A new, empty directory that is removed with everything in it when its owner goes away.
///
/// ```swift
/// let directory = try TemporaryDirectory()
/// let files = try leaf.write(to: directory.path)
/// ```
///
/// The directory lives until the end of the variable's scope. Only this user may enter it. It is
/// made in `$TMPDIR`, or `/tmp` if that is unset.
public struct TemporaryDirectory: ~Copyable, Sendable {
    /// The directory's path, without a trailing slash.
    public let path: String

    /// Makes the directory.
    ///
    /// - Parameter prefix: How its name begins; must not contain a slash.
    /// - Throws: ``TestKitError`` `.fileSystem`.
    /// - Note: libc `mkdtemp`.
    public init(prefix: String = "tls-test-kit-") throws(TestKitError) {
        // The C string belongs to the environment; it is copied before anything else runs.
        let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/\(prefix)XXXXXX".utf8CString)
        // mkdtemp overwrites the six X in place and keeps the terminating zero.
        guard unsafe mkdtemp(&template) != nil else {
            throw TestKitError(.fileSystem, "make a directory in \(parent)", errno: errno)
        }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { removeTree(at: Array(path.utf8CString)) }
}

/// Runs `body` with a new directory, which is removed afterwards whether or not `body` throws.
///
/// - Parameter body: Receives the directory's path.
/// - Returns: What `body` returns.
/// - Throws: What `body` throws, or ``TestKitError`` `.fileSystem`.
public func withTemporaryDirectory<Result>(
    _ body: (_ path: String) throws -> Result
) throws -> Result {
    let directory = try TemporaryDirectory()
    return try body(directory.path)
}

/// Runs asynchronous `body` with a new directory, which is removed when `body` returns or throws.
///
/// - Parameter body: Receives the directory's path.
/// - Returns: What `body` returns.
/// - Throws: What `body` throws, or ``TestKitError`` `.fileSystem`.
public func withTemporaryDirectory<Result>(
    _ body: (_ path: String) async throws -> Result
) async throws -> Result {
    let directory = try TemporaryDirectory()
    return try await body(directory.path)
}

/// Writes a whole file and makes its permissions exactly `mode`, whatever the umask says.
///
/// Permissions are set before the first byte is written, and a symbolic link is not followed.
func writeFile(_ path: String, _ contents: [UInt8], mode: mode_t) throws(TestKitError) {
    func failure(_ operation: String) -> TestKitError {
        TestKitError(.fileSystem, "\(operation) \(path)", errno: errno)
    }
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC
    let descriptor = unsafe open(path, flags, mode & 0o600)
    guard descriptor >= 0 else { throw failure("open") }
    var written = 0
    var error: TestKitError?
    if fchmod(descriptor, mode) != 0 { error = failure("set the mode of") }
    while error == nil, written < contents.count {
        let count = unsafe contents.withUnsafeBytes { bytes in
            unsafe write(
                descriptor,
                bytes.baseAddress?.advanced(by: written),
                bytes.count - written
            )
        }
        if count > 0 {
            written += count
        } else if count == 0 || errno != EINTR {
            error = failure("write")
        }
    }
    // Network file systems report a full disk only here.
    if close(descriptor) != 0, error == nil { error = failure("close") }
    if let error { throw error }
}

/// Removes a directory and what is in it as far as permitted; never follows a symbolic link.
///
/// Errors are passed over: the only caller is a `deinit`, and a directory left behind in a
/// temporary place harms nobody.
///
/// - Parameter path: Ends in zero. Names are bytes, since Linux does not promise UTF-8.
private func removeTree(at path: [CChar]) {
    if let directory = unsafe opendir(path) {
        while let entry = unsafe readdir(directory) {
            // `d_name` is a C array inside the entry, which is valid until the next `readdir`.
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe Array(bytes.prefix { $0 != 0 })
            }
            guard name != Array(".".utf8), name != Array("..".utf8) else { continue }
            let tail = (Array("/".utf8) + name + [0]).map(CChar.init(bitPattern:))
            let child = Array(path.dropLast()) + tail
            // `unlink` removes files and links; only a true directory makes it fail with EISDIR.
            if unsafe unlink(child) != 0, errno == EISDIR { removeTree(at: child) }
        }
        unsafe closedir(directory)
    }
    unsafe rmdir(path)
}
