/// Work for a loop: a part of a task, a closure, or a source that has asked for its turn.
enum LoopWork {
    case job(UnownedJob)
    case closure(@Sendable () -> Void)
    case source(ReadinessSource)
}

/// The loop thread's queue of work, first in, first out.
///
/// A ring that doubles when full and never shrinks: no lock, and no allocation in steady state.
@safe
struct RunQueue: ~Copyable {
    private var ring: UnsafeMutablePointer<LoopWork>
    private var capacity: Int
    // Positions count on and on; the ring's size is a power of two, so masking finds the place.
    private var head = 0
    private var tail = 0

    init(capacity: Int = 1024) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0)
        self.capacity = capacity
        unsafe ring = .allocate(capacity: capacity)
    }

    deinit {
        for position in head..<tail {
            unsafe (ring + position & (capacity - 1)).deinitialize(count: 1)
        }
        unsafe ring.deallocate()
    }

    var count: Int {
        tail - head
    }

    var isEmpty: Bool {
        head == tail
    }

    @inline(__always)
    mutating func append(_ work: consuming LoopWork) {
        if tail - head == capacity {
            grow()
        }
        // This place is empty: the ring is not full.
        unsafe (ring + (tail & (capacity - 1))).initialize(to: work)
        tail += 1
    }

    @inline(__always)
    mutating func popFirst() -> LoopWork? {
        guard head != tail else {
            return nil
        }
        // This place is filled, and is empty afterwards.
        let work = unsafe (ring + (head & (capacity - 1))).move()
        head += 1
        return work
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<LoopWork>.allocate(capacity: capacity * 2)
        for offset in 0..<(tail - head) {
            unsafe (larger + offset).moveInitialize(
                from: ring + ((head + offset) & (capacity - 1)),
                count: 1
            )
        }
        unsafe ring.deallocate()
        unsafe ring = unsafe larger
        capacity *= 2
        tail -= head
        head = 0
    }
}
