internal import CLinux

/// Memory that a call may use until it returns or suspends, one set a thread.
///
/// Made on a thread's first use and freed when the thread ends. The three areas do not overlap,
/// start at a page and have unmapped pages on both sides; pages never touched cost no memory. The
/// contents are whatever the last use left: after `await` the thread may be another one, so nothing
/// may be kept there.
///
/// - Precondition: 448 KiB of address space are to be had; without them the first use traps.
package struct ThreadScratch {
    /// 128 KiB for bytes from the network.
    @inline(__always)
    package static func input() -> UnsafeMutableRawBufferPointer {
        unsafe area(at: CL_SCRATCH_INPUT_AT, count: CL_SCRATCH_INPUT)
    }

    /// 256 KiB for bytes to the network.
    @inline(__always)
    package static func output() -> UnsafeMutableRawBufferPointer {
        unsafe area(at: CL_SCRATCH_OUTPUT_AT, count: CL_SCRATCH_OUTPUT)
    }

    /// 64 KiB for the application's bytes.
    @inline(__always)
    package static func plaintext() -> UnsafeMutableRawBufferPointer {
        unsafe area(at: CL_SCRATCH_PLAINTEXT_AT, count: CL_SCRATCH_PLAINTEXT)
    }

    @inline(__always)
    private static func area(at offset: Int, count: Int) -> UnsafeMutableRawBufferPointer {
        // Offset and count are the layout that the C side mapped.
        unsafe UnsafeMutableRawBufferPointer(start: Syscalls.scratch() + offset, count: count)
    }
}
