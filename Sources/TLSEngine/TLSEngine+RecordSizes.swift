// How large records are: what a buffer must have room for, and how much ciphertext fills one.

extension TLSEngine {
    /// The most plaintext one record carries (RFC 8446 §5.1).
    public static let recordPlaintextMax = 16384

    /// The most a record adds to its plaintext, of all suites.
    public static let recordOverheadMax = 256

    /// The ciphertext that fills a buffer where the peer sends full records.
    ///
    /// A full record is as large as the last one was; before the first, as TLS 1.3 makes it without
    /// padding.
    ///
    /// - Parameter room: Bytes of plaintext that can be taken.
    /// - Returns: The bytes of a whole number of records, at least one.
    package func ciphertextBytes(filling room: Int) -> Int {
        let full = TLSEngine.recordPlaintextMax
        return max(1, (room + full - 1) / full) * connection.fullRecord
    }
}
