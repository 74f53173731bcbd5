// Where records can go without a copy. The engine does no I/O by itself; its owner may lend it a
// function that does.

/// A function that takes ciphertext straight from OpenSSL's buffer.
@safe
package struct CiphertextSink {
    // Safe: it is called during one step of an engine, with memory that is valid until it returns.

    /// What it is called with.
    package let descriptor: Int32
    /// Returns the bytes it took, 0...count, or a negative errno; never waits.
    package let send: @convention(c) (Int32, UnsafeRawPointer?, Int) -> Int

    package init(
        descriptor: Int32,
        send: @escaping @convention(c) (Int32, UnsafeRawPointer?, Int) -> Int
    ) {
        self.descriptor = descriptor
        unsafe self.send = send
    }
}
