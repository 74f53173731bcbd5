// From the token of an event to the source it belongs to.
//
// Theory of operation
// - epoll can report a descriptor after it was closed: a batch was fetched before, or a child
//   process still holds a copy between fork and exec. So an event carries no pointer but an index
//   and a generation, and an event whose generation has passed is dropped.
// - Cells live in blocks that never move and are freed with the table. Inserting and removing take
//   the lock. `source(_:)` takes none: only the loop thread calls it, only the loop thread ends a
//   generation, and a cell of a live generation was filled before the kernel learnt its token.

import Synchronization

/// The sources a loop keeps alive, by token.
@safe
package final class SourceTable: @unchecked Sendable {
    @safe
    private struct Cell {
        /// Retained while the cell is in use.
        var source: Unmanaged<ReadinessSource>?
        var generation: UInt32
        var nextFree: Int32
    }

    private static let blockSize = 1024
    /// As many blocks as the largest descriptor number Linux can be set to (2^20 by default) needs,
    /// four times over.
    private static let blockLimit = 4096

    private struct Free {
        var first: Int32 = -1
        var blocks = 0
        var inUse = 0
    }

    private let blocks: UnsafeMutablePointer<UnsafeMutablePointer<Cell>?>
    private let free = Mutex(Free())

    package init() {
        unsafe blocks = .allocate(capacity: Self.blockLimit)
        unsafe blocks.initialize(repeating: nil, count: Self.blockLimit)
    }

    deinit {
        removeAll()
        for index in 0..<Self.blockLimit {
            guard let block = unsafe blocks[index] else {
                break
            }
            unsafe block.deallocate()
        }
        unsafe blocks.deallocate()
    }

    /// Sources in the table.
    package var count: Int {
        free.withLock { $0.inUse }
    }

    /// Keeps a source alive and returns its token; nil if the table is full.
    ///
    /// Any thread.
    package func insert(_ source: ReadinessSource) -> UInt64? {
        free.withLock { free in
            if free.first < 0 {
                guard free.blocks < Self.blockLimit else {
                    return nil
                }
                addBlock(&free)
            }
            let index = free.first
            let cell = unsafe cell(Int(index))
            free.first = unsafe cell.pointee.nextFree
            free.inUse += 1
            unsafe cell.pointee.source = .passRetained(source)
            return unsafe UInt64(cell.pointee.generation) << 32 | UInt64(index)
        }
    }

    /// The source of a token; nil if it was removed since.
    ///
    /// Loop thread only.
    @inline(__always)
    package func source(_ token: UInt64) -> Unmanaged<ReadinessSource>? {
        // Every token came from `insert`, so its index is inside the blocks.
        let cell = unsafe cell(Int(token & 0xFFFF_FFFF))
        guard unsafe cell.pointee.generation == UInt32(token >> 32) else {
            return nil
        }
        return unsafe cell.pointee.source
    }

    /// Ends a token and gives up its source.
    ///
    /// Loop thread only.
    package func remove(_ token: UInt64) -> ReadinessSource? {
        take(token, endsGeneration: true)
    }

    /// Takes back an insertion whose token the kernel never saw.
    ///
    /// Any thread.
    package func undoInsert(_ token: UInt64) {
        _ = take(token, endsGeneration: false)
    }

    /// Adds the sources of a range of places to an array.
    ///
    /// Loop thread only.
    ///
    /// - Returns: Whether there are places behind the range.
    func collect(_ places: Range<Int>, into sources: inout [ReadinessSource]) -> Bool {
        free.withLock { free in
            let end = free.blocks * Self.blockSize
            for index in places.clamped(to: 0..<end) {
                guard let source = unsafe cell(index).pointee.source else {
                    continue
                }
                unsafe sources.append(source.takeUnretainedValue())
            }
            return places.upperBound < end
        }
    }

    /// Ends all tokens.
    ///
    /// Loop thread, or nobody else has the table any more.
    package func removeAll() {
        let sources = free.withLock { free -> [ReadinessSource] in
            var sources: [ReadinessSource] = []
            for index in 0..<(free.blocks * Self.blockSize) {
                let cell = unsafe cell(index)
                guard let source = unsafe cell.pointee.source else {
                    continue
                }
                unsafe sources.append(source.takeRetainedValue())
                unsafe release(cell, at: Int32(index), endsGeneration: true, &free)
            }
            return sources
        }
        // Their deinitialisers run here, outside the lock.
        _ = consume sources
    }

    private func take(_ token: UInt64, endsGeneration: Bool) -> ReadinessSource? {
        free.withLock { free in
            let index = Int(token & 0xFFFF_FFFF)
            let cell = unsafe cell(index)
            guard unsafe cell.pointee.generation == UInt32(token >> 32),
                let source = unsafe cell.pointee.source
            else {
                return nil
            }
            unsafe release(cell, at: Int32(index), endsGeneration: endsGeneration, &free)
            return unsafe source.takeRetainedValue()
        }
    }

    private func release(
        _ cell: UnsafeMutablePointer<Cell>,
        at index: Int32,
        endsGeneration: Bool,
        _ free: inout Free
    ) {
        unsafe cell.pointee.source = nil
        unsafe cell.pointee.nextFree = free.first
        if endsGeneration {
            unsafe cell.pointee.generation &+= 1
        }
        free.first = index
        free.inUse -= 1
    }

    @inline(__always)
    private func cell(_ index: Int) -> UnsafeMutablePointer<Cell> {
        guard let block = unsafe blocks[index / Self.blockSize] else {
            preconditionFailure("a token of another table")
        }
        return unsafe block + index % Self.blockSize
    }

    private func addBlock(_ free: inout Free) {
        let block = UnsafeMutablePointer<Cell>.allocate(capacity: Self.blockSize)
        let first = free.blocks * Self.blockSize
        for offset in 0..<Self.blockSize {
            let isLast = offset == Self.blockSize - 1
            unsafe (block + offset).initialize(
                to: Cell(
                    source: nil,
                    generation: 0,
                    nextFree: isLast ? -1 : Int32(first + offset + 1)
                )
            )
        }
        unsafe blocks[free.blocks] = unsafe block
        free.first = Int32(first)
        free.blocks += 1
    }
}
