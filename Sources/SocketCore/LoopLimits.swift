/// The bounds of one turn of a loop.
package enum LoopLimits {
    /// Events fetched by one wait; the kernel keeps the rest, and gives them in turn.
    static let eventsPerTurn = 256
    /// Jobs and closures run before events and timers are looked at again.
    static let workPerTurn = 512
    /// Timers that come up before work is looked at again.
    static let timersPerTurn = 256
    /// Milliseconds between two sweeps: what is idle that long gives its memory back.
    static let sweepMilliseconds: UInt64 = 1000
    /// Places of the table looked at in one turn of a sweep.
    static let sweptPerTurn = 1024
    /// Bytes of a small piece, which may wait for the end of its turn.
    package static let pieceBytes = 4096
    /// Bytes of all pieces that wait.
    static let batchBytes = 64 << 10
    /// Pieces until all that waits is sent: some 100 microseconds of small messages.
    static let batchPieces = 32
    /// Longest single sleep in milliseconds, a minute: no number can overflow on the way to epoll.
    static let sleepMilliseconds: UInt64 = 60_000
}
