// Bytes that must not stay behind: they live in memory of their own, which is wiped before it is given
// back, and are never printed.

import COpenSSL

/// Secret bytes, wiped when the last copy goes; they print as `<redacted>`.
///
/// What they were copied from is the owner's to wipe: an array cannot be. The closure form of the
/// initialiser reads a secret without one.
public struct SecretBytes: Sendable {
    /// The memory; copies share it.
    @safe
    private final class Storage: @unchecked Sendable {
        // Sendable: written before anybody else sees it, never after.
        // Safe: `count` bytes of its own until deinit.
        let start: UnsafeMutablePointer<UInt8>
        let count: Int

        init(count: Int) {
            guard let memory = unsafe cssl_malloc(max(count, 1)) else {
                preconditionFailure("out of memory")
            }
            unsafe start = memory.bindMemory(to: UInt8.self, capacity: max(count, 1))
            self.count = count
        }

        deinit { unsafe cssl_clear_free(start, max(count, 1)) }
    }

    private let storage: Storage

    /// Copies bytes.
    public init(_ bytes: [UInt8]) {
        self.init(copying: bytes.span)
    }

    /// Copies a text in UTF-8.
    ///
    /// The text itself stays where it is: what must not be found in memory is read into
    /// ``init(capacity:initializingWith:)`` and never is a `String`.
    public init(_ text: String) {
        self.init(copying: text.utf8.span)
    }

    /// Copies bytes.
    public init(copying bytes: Span<UInt8>) {
        let storage = Storage(count: bytes.count)
        unsafe bytes.withUnsafeBufferPointer { bytes in
            guard let source = bytes.baseAddress else { return }
            unsafe storage.start.update(from: source, count: bytes.count)
        }
        self.init(storage: storage)
    }

    /// Makes secret bytes in place, so that no copy is left behind.
    ///
    /// - Parameters:
    ///   - capacity: The most bytes.
    ///   - initialize: Appends the bytes.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        capacity: Int,
        initializingWith initialize: (inout OutputSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        let whole = Storage(count: capacity)
        let buffer = unsafe UnsafeMutableBufferPointer(start: whole.start, count: capacity)
        var output = unsafe OutputSpan(buffer: buffer, initializedCount: 0)
        do throws(Failure) {
            try initialize(&output)
        } catch {
            _ = unsafe output.finalize(for: buffer)
            throw error
        }
        let count = unsafe output.finalize(for: buffer)
        guard count < capacity else {
            self.init(storage: whole)
            return
        }
        self.init(copying: unsafe Span(_unsafeStart: whole.start, count: count))
    }

    /// Random bytes.
    ///
    /// - Throws: ``TLSError`` `.internalError` when the system gives none.
    static func random(count: Int) throws(TLSError) -> SecretBytes {
        let secret = SecretBytes(storage: Storage(count: count))
        guard unsafe RAND_priv_bytes(secret.storage.start, CInt(count)) == 1 else {
            throw ErrorQueue.error(.internalError)
        }
        return secret
    }

    /// Makes room for a secret, all zeros; its maker fills it before anybody else has it.
    init(count: Int) {
        storage = Storage(count: count)
        unsafe storage.start.update(repeating: 0, count: count)
    }

    private init(storage: Storage) { self.storage = storage }

    /// The number of bytes.
    public var count: Int { storage.count }

    /// Lends the bytes for the length of a call.
    ///
    /// - Parameter body: Reads them; what it copies is its own to wipe.
    /// - Returns: What the closure returns.
    /// - Throws: What the closure throws.
    public func withBytes<Value, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        // Safe: the storage lives until the call is over.
        defer { withExtendedLifetime(storage) {} }
        // By way of a local: optimising, this compiler fails over a span of the storage's own member.
        let start = unsafe storage.start
        return try body(unsafe Span(_unsafeStart: start, count: storage.count))
    }

    /// The memory, which lives as long as a copy of the secret does.
    var buffer: UnsafeMutableBufferPointer<UInt8> {
        unsafe UnsafeMutableBufferPointer(start: storage.start, count: storage.count)
    }

    /// Where the memory begins.
    var pointer: UnsafeMutablePointer<UInt8> { unsafe storage.start }

    /// The bytes for an OpenSSL call.
    func withPointer<Value>(_ body: (UnsafeMutablePointer<UInt8>, Int) -> Value) -> Value {
        defer { withExtendedLifetime(storage) {} }
        return unsafe body(storage.start, storage.count)
    }
}

extension SecretBytes: Hashable {
    /// Compares in a time that does not tell where they differ.
    public static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe CRYPTO_memcmp(left.storage.start, right.storage.start, left.count) == 0
    }

    /// Hashes the number of bytes; the bytes themselves stay where they are.
    public func hash(into hasher: inout Hasher) { hasher.combine(count) }
}

extension SecretBytes: ExpressibleByStringLiteral {
    /// The text of a literal in UTF-8; it stands in the program for all to read.
    public init(stringLiteral text: StaticString) {
        self.init("\(text)")
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `<redacted>`.
    public var description: String { "<redacted>" }
    /// `<redacted>`.
    public var debugDescription: String { description }
    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
