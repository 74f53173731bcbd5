// Reading and writing as they are inlined into the caller's own function: a message that is there, or
// that the kernel takes at once, costs no async frame, and one that is waited for costs one
// suspension. Everything that is not async is behind calls, so no layout shows here.

import SocketCore

extension Socket {
    @inlinable
    @inline(__always)
    func inlinedRead(_ buffer: inout MutableSpan<UInt8>) async throws(SocketError) -> Int {
        var step = beginRead(&buffer)
        if step == HotStep.wait || step == HotStep.expectWait {
            var isParked = false
            await Waiter.suspend { waiter in
                isParked = park(waiter, step)
                return isParked
            }
            step = finishRead(&buffer, holdsTurn: isParked || step == HotStep.wait)
        }
        if step > 0 { return step }
        return try await readGenerally(&buffer, step)
    }

    @inlinable
    @inline(__always)
    func inlinedWrite(_ bytes: Span<UInt8>) async throws(SocketError) {
        var offset = 0
        let step = beginWrite(bytes, &offset)
        guard step != HotStep.done else { return }
        try await writeGenerally(bytes, offset, step)
    }

    // MARK: What is behind calls

    @usableFromInline
    func beginRead(_ buffer: inout MutableSpan<UInt8>) -> Int {
        connection.beginHotRead(&buffer)
    }

    @usableFromInline
    func park(_ waiter: Waiter, _ step: Int) -> Bool {
        connection.parkHotReader(waiter, step)
    }

    @usableFromInline
    func finishRead(_ buffer: inout MutableSpan<UInt8>, holdsTurn: Bool) -> Int {
        connection.finishHotRead(&buffer, holdsTurn: holdsTurn)
    }

    @usableFromInline
    func readGenerally(
        _ buffer: inout MutableSpan<UInt8>,
        _ step: Int
    ) async throws(SocketError) -> Int {
        try await connection.read(into: &buffer, holdsTurn: step == HotStep.wait)
    }

    @usableFromInline
    func beginWrite(_ bytes: Span<UInt8>, _ offset: inout Int) -> Int {
        connection.beginHotWrite(bytes, &offset)
    }

    @usableFromInline
    func writeGenerally(
        _ bytes: Span<UInt8>,
        _ offset: Int,
        _ step: Int
    ) async throws(SocketError) {
        try refuseBesideBody()
        try await connection.write(bytes, from: offset, holdsTurn: step == HotStep.wait)
    }
}
