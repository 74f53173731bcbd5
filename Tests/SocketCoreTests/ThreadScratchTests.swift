import CLinux
import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct ThreadScratchTests {
    @Test(
        "the areas have their sizes, start at pages, do not overlap, and can be written to the end"
    )
    func areas() {
        let areas = unsafe [
            ThreadScratch.input(), ThreadScratch.output(), ThreadScratch.plaintext(),
        ]
        let sizes = unsafe areas.map { $0.count }
        #expect(sizes == [128 * 1024, 256 * 1024, 64 * 1024])
        for index in 0..<3 {
            let area = unsafe areas[index]
            let start = UInt(bitPattern: area.baseAddress)
            #expect(start % 4096 == 0)
            unsafe area.initializeMemory(as: UInt8.self, repeating: UInt8(index + 1))
        }
        for index in 0..<3 {
            #expect(unsafe areas[index].first == UInt8(index + 1))
            #expect(unsafe areas[index].last == UInt8(index + 1))
        }
        #expect(unsafe ThreadScratch.input().baseAddress == areas[0].baseAddress)
    }

    @Test("each thread has its own")
    func threads() async throws {
        let group = EventLoopGroup(loopCount: 2)
        var starts: Set<UInt> = []
        for loop in group.loops {
            starts.insert(
                await on(loop) { unsafe UInt(bitPattern: ThreadScratch.input().baseAddress) }
            )
        }
        #expect(starts.count == 2)
        await group.shutdown()
    }

    @Test("a thread that ends gives its area back")
    func freed() async {
        // Alone in its process, since other tests' threads have areas too.
        await #expect(processExitsWith: .success) {
            let before = cl_scratch_areas()
            let group = EventLoopGroup(loopCount: 3)
            for loop in group.loops {
                _ = await on(loop) { unsafe ThreadScratch.output().count }
            }
            precondition(cl_scratch_areas() >= before + 3)
            await group.shutdown()
            // The destructor runs as the detached thread goes, a moment after the shutdown is told.
            let deadline = EventLoop.readClock().advanced(by: .seconds(20))
            while cl_scratch_areas() > before, EventLoop.readClock() < deadline {
                await Task.yield()
            }
            precondition(cl_scratch_areas() <= before)
        }
    }
}
