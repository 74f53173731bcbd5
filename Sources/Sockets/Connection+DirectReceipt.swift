// How large records come: from the kernel straight into OpenSSL's buffer, one at a time. They are decrypted
// there and copied to the caller while they are in the first-level cache; by way of the thread's scratch
// each is copied once more, and four at a time no longer fit into that cache.

import SocketCore
import TLSEngine

extension Connection.Storage {
    /// Receives straight into OpenSSL's buffer, where large records need no copy then.
    ///
    /// - Returns: Nil when what came is no data yet.
    mutating func receiveDirectly(
        _ buffer: UnsafeMutableBufferPointer<UInt8>
    ) -> ReceiveStep? {
        guard !isDrained else { return .wait }
        engine?.noteTime(.nanoseconds(Int64(clamping: EventLoop.readClock().nanoseconds)))
        let unsent = isBatched ? 0 : outbound.count
        var received = 0
        let (progress, source) = unsafe decryptDirectly(into: buffer, received: &received)
        if source.isDry {
            if source.result > 0 {
                isDrained = !hasHungUp
            } else if source.result == 0 {
                transportEnded = true
            } else {
                _ = noteReceiveFailure(source.result)
            }
        }
        if lateRequest != nil { lateRequest?.notice() }
        guard let progress, mayOweAnswers(since: unsent) else { return .failed }
        mayHavePlaintext = progress.wants == .nothing
        expectsLarge = engine?.expectsLargeInput == true
        if progress.wants == .closed { transportEnded = true }
        if received > 0 { return .bytes(received) }
        if progress.wants == .closed { return .end }
        return failure == nil ? nil : .failed
    }

    @inline(__always)
    private mutating func decryptDirectly(
        into buffer: UnsafeMutableBufferPointer<UInt8>,
        received: inout Int
    ) -> (TLSEngine.Progress?, CiphertextSource.Outcome) {
        let scratch = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
        var output = unsafe OutputSpan(buffer: scratch, initializedCount: 0)
        var plaintext = unsafe OutputSpan(buffer: buffer, initializedCount: 0)
        let room = min(buffer.count, Connection.Storage.stepMax)
        let source = unsafe CiphertextSource(
            descriptor: descriptor,
            limit: engine?.ciphertextBytes(filling: room) ?? 0,
            receive: Syscalls.receiveFunction
        )
        let (progress, outcome) =
            engine?.attemptReceive(from: source, into: &plaintext, producing: &output)
            ?? (nil, .untouched)
        if progress == nil { noteEngineFailure() }
        received = unsafe plaintext.finalize(for: buffer)
        unsafe transmit(scratch, output.finalize(for: scratch))
        return (progress, outcome)
    }
}
