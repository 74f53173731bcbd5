// Bytes that did not fit into one call. Connections own no buffers: calls work in the thread's
// scratch memory, and what is left over when a call suspends is kept here until the next one.

/// A private buffer for leftovers: filled at the end of a call, emptied from the front, freed when
/// empty.
@safe
struct ByteSpill: ~Copyable {
    // Owned; nil when empty.
    private var memory: UnsafeMutableBufferPointer<UInt8>?
    /// The memory is somebody else's, who says when it must be left; see ``borrow(_:)``.
    private var isBorrowed = false
    private var start = 0
    private var end = 0

    init() {
        unsafe memory = nil
    }

    deinit { if !isBorrowed { unsafe memory?.deallocate() } }

    var isEmpty: Bool { start == end }
    var count: Int { end - start }

    /// The bytes; valid until the next change.
    var bytes: UnsafeBufferPointer<UInt8> {
        guard let memory = unsafe memory else {
            return unsafe UnsafeBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeBufferPointer(rebasing: memory[start..<end])
    }

    /// Adds bytes behind those that are there.
    mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard !bytes.isEmpty else { return }
        let needed = count + bytes.count
        let room = unsafe (memory?.count ?? 0) - end
        if room < bytes.count {
            let grown = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: needed)
            _ = unsafe grown.initialize(fromContentsOf: self.bytes)
            let kept = count
            release()
            unsafe memory = grown
            start = 0
            end = kept
        }
        if let memory = unsafe memory {
            _ = unsafe UnsafeMutableBufferPointer(rebasing: memory[end..<end + bytes.count])
                .initialize(fromContentsOf: bytes)
        }
        end += bytes.count
    }

    /// Drops bytes from the front.
    mutating func removeFirst(_ number: Int) {
        start += number
        guard start == end else { return }
        release()
        start = 0
        end = 0
    }

    /// Holds bytes without a copy.
    ///
    /// - Parameter bytes: They stay as they are until ``own()``.
    /// - Precondition: It is empty.
    mutating func borrow(_ bytes: UnsafeMutableBufferPointer<UInt8>) {
        precondition(isEmpty)
        unsafe memory = bytes
        isBorrowed = true
        end = bytes.count
    }

    /// Copies what is left of borrowed bytes.
    mutating func own() {
        guard isBorrowed else { return }
        let rest = unsafe bytes
        unsafe memory = nil
        isBorrowed = false
        start = 0
        end = 0
        unsafe append(rest)
    }

    private mutating func release() {
        if !isBorrowed { unsafe memory?.deallocate() }
        unsafe memory = nil
        isBorrowed = false
    }
}
