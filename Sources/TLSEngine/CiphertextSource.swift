// Where records can come from without a copy: the way of large ones, and the counterpart of
// `CiphertextSink`.

/// A function that puts ciphertext straight into OpenSSL's buffer.
@safe
package struct CiphertextSource {
    // Safe: it is called during one step of an engine, with memory that is valid until it returns.

    /// What it is called with.
    package let descriptor: Int32
    /// It is called again until it gave so many bytes, or fewer than it was asked for.
    package let limit: Int
    /// Returns the bytes it gave, 1...count, 0 when there are no more, or a negative errno; never waits.
    package let receive: @convention(c) (Int32, UnsafeMutableRawPointer?, Int) -> Int

    package init(
        descriptor: Int32,
        limit: Int,
        receive: @escaping @convention(c) (Int32, UnsafeMutableRawPointer?, Int) -> Int
    ) {
        self.descriptor = descriptor
        self.limit = limit
        unsafe self.receive = receive
    }

    /// What a step's calls came to.
    package struct Outcome {
        /// What the last returned; 1 when there was none.
        package let result: Int
        /// Whether the last gave fewer bytes than it was asked for: there are no more now.
        package let isDry: Bool

        /// There was none.
        package static let untouched = Outcome(result: 1, isDry: false)
    }
}

extension TLSEngine {
    /// The most bytes of a small input.
    package static let smallInputMax = 2048

    /// Whether the last input was of large records, so that the next is better taken from a
    /// ``CiphertextSource``.
    package var expectsLargeInput: Bool { connection.expectsLarge }

    /// Decrypts what a source gives: the way of large inputs (``expectsLargeInput``), which need no copy
    /// into OpenSSL then.
    ///
    /// - Parameters:
    ///   - source: Where ciphertext comes from.
    ///   - plaintext: Receives data.
    ///   - output: Receives answers.
    /// - Returns: The step's result, nil when it failed (``stepFailure``); and what the source came to.
    package mutating func attemptReceive(
        from source: CiphertextSource,
        into plaintext: inout OutputSpan<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) -> (Progress?, CiphertextSource.Outcome) {
        connection.setSource(source)
        let before = connection.bytesReceived
        let progress = attemptReceive(Span(), into: &plaintext, producing: &output)
        connection.adapt(to: connection.bytesReceived - before, fromSource: true)
        return (progress, connection.takeSourceOutcome())
    }
}
