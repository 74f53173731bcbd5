// OpenSSL's memory: blocks that it gives back serve its next requests on the same thread, and no more of
// them are kept than is said.

import CTLSMemory
import COpenSSL
import Foundation
import TLSTestKit
import Testing

/// Under a sanitizer every block is malloc's; then nothing here is to be seen.
private let isUsed = ctlsm_is_used() == 1

// Blocks as addresses, which threads may hand over.

private func allocate(_ count: Int) -> UInt {
    UInt(bitPattern: unsafe CRYPTO_malloc(count, nil, 0))
}

private func resize(_ block: UInt, _ count: Int) -> UInt {
    let memory = unsafe UnsafeMutableRawPointer(bitPattern: block)
    return UInt(bitPattern: unsafe CRYPTO_realloc(memory, count, nil, 0))
}

private func free(_ block: UInt) {
    unsafe CRYPTO_free(UnsafeMutableRawPointer(bitPattern: block), nil, 0)
}

private func bytes(_ block: UInt, _ count: Int) -> UnsafeMutableRawBufferPointer {
    let start = unsafe UnsafeMutableRawPointer(bitPattern: block)
    return unsafe UnsafeMutableRawBufferPointer(start: start, count: count)
}

/// Runs a body on a thread that has kept nothing, and waits for the thread's end.
private func onFreshThread<Result: Sendable>(
    _ body: @escaping @Sendable () -> Result
) async -> Result {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}

private func residentPages() throws -> Int {
    let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    return try #require(Int(fields.split(separator: " ")[1]))
}

@Suite(.enabled(if: isUsed, "blocks are kept for OpenSSL")) struct OpenSSLMemoryTests {
    @Test(
        "what was given back is the next of its size",
        arguments: [1, 8, 9, 24, 25, 120, 1032, 1033, 17_000]
    )
    func reuse(_ count: Int) async {
        let outcome = await onFreshThread {
            let other = allocate(count)
            let block = allocate(count)
            free(block)
            let kept = ctlsm_kept_bytes()
            // malloc may have given a little more than was asked for.
            let again = allocate(kept)
            let left = ctlsm_kept_bytes()
            free(again)
            free(other)
            return (isSame: block == again, kept: kept, left: left)
        }
        #expect(outcome.isSame)
        #expect(outcome.kept >= count)
        #expect(outcome.left == 0)
    }

    @Test("blocks do not overlap, whatever is asked for and given back")
    func contents() async {
        let damaged = await onFreshThread {
            var generator = SystemRandomNumberGenerator()
            var blocks: [(address: UInt, count: Int, mark: UInt8)] = []
            var damaged = 0
            func isWhole(_ block: (address: UInt, count: Int, mark: UInt8)) -> Bool {
                unsafe bytes(block.address, block.count).allSatisfy { $0 == block.mark }
            }
            for turn in 0..<20_000 {
                let isSmall = turn % 8 != 0
                let count = Int.random(in: 1...(isSmall ? 1100 : 26_000), using: &generator)
                if blocks.count > 200 || turn % 3 == 2 {
                    let block = blocks.remove(at: Int.random(in: blocks.indices, using: &generator))
                    if !isWhole(block) { damaged += 1 }
                    free(block.address)
                } else if turn % 50 == 1, var block = blocks.popLast() {
                    block.address = resize(block.address, block.count + count)
                    if !isWhole(block) { damaged += 1 }
                    blocks.append(block)
                } else {
                    let block = (allocate(count), count, UInt8(truncatingIfNeeded: turn))
                    for index in 0..<count { unsafe bytes(block.0, count)[index] = block.2 }
                    blocks.append(block)
                }
            }
            damaged += blocks.count { !isWhole($0) }
            for block in blocks { free(block.address) }
            return damaged
        }
        #expect(damaged == 0)
    }

    @Test("no more is kept than the limits say", arguments: [16, 200, 1000, 5000, 17_000, 24_000])
    func limits(_ count: Int) async {
        let kept = await onFreshThread {
            let blocks = (0..<400).map { _ in allocate(count) }
            for block in blocks { free(block) }
            return ctlsm_kept_bytes()
        }
        #expect(kept <= CTLSM_KEPT_BYTES)
        let most = count > 1032 ? CTLSM_LARGE_BLOCKS : CTLSM_BLOCKS_OF_SIZE
        #expect(kept <= Int(most) * (count + 64))
        #expect(kept >= Int(most) * count)
    }

    @Test("what is kept of all sizes together has a limit, and a larger block than any is not kept")
    func limitOfAll() async {
        let (all, large) = await onFreshThread {
            let blocks = (1...1200).map { allocate($0 * 20) }
            for block in blocks { free(block) }
            let all = ctlsm_kept_bytes()
            let block = allocate(Int(CTLSM_BLOCK_BYTES) + 64)
            free(block)
            return (all, ctlsm_kept_bytes())
        }
        #expect(all <= CTLSM_KEPT_BYTES)
        #expect(large == all)
    }

    @Test("large blocks of sizes that are not asked for again make room for those that are")
    func staleSizes() async {
        let outcome = await onFreshThread {
            // Every place has one: some 400 sizes, of which each is used once.
            let stale = stride(from: 1100, to: 20_000, by: 48).map { allocate($0) }
            for block in stale { free(block) }
            let sizes = [3264, 7600, 16_576, 21_840]
            var again = 0
            for round in 0..<10 {
                for size in sizes {
                    let block = allocate(size)
                    free(block)
                    let kept = ctlsm_kept_bytes()
                    let next = allocate(size)
                    // The first time it may have been one of the others.
                    if round > 0, ctlsm_kept_bytes() < kept { again += 1 }
                    free(next)
                }
            }
            return (again: again, kept: ctlsm_kept_bytes())
        }
        #expect(outcome.again == 36)
        #expect(outcome.kept > 21_840)
    }

    @Test("nothing is nothing: no bytes, no block, and a size of 0 gives back")
    func nothing() async {
        let outcome = await onFreshThread {
            let none = allocate(0)
            free(0)
            let block = allocate(100)
            let end = resize(block, 0)
            // malloc may have given a little more than was asked for.
            let fresh = resize(0, ctlsm_kept_bytes())
            let isSame = fresh == block
            free(fresh)
            return (none, end, isSame)
        }
        #expect(outcome == (0, 0, true))
    }

    // In a process of its own, where nobody else's memory is counted.
    @Test("a thread's end gives back what was kept for it")
    func threadEnd() async {
        await #expect(processExitsWith: .success) {
            let before = try residentPages()
            var kept = 0
            for _ in 0..<800 {
                kept += await onFreshThread {
                    let blocks = (0..<16).map { _ in allocate(20_000) }
                    for block in blocks {
                        // A byte a page.
                        for index in stride(from: 0, to: 20_000, by: 4096) {
                            unsafe bytes(block, 20_000)[index] = 1
                        }
                        free(block)
                    }
                    return ctlsm_kept_bytes()
                }
            }
            // 250 MB passed.
            #expect(kept > 200_000_000)
            #expect(try residentPages() - before < 50_000_000 / 4096)
        }
    }

    // In a process of its own, as it is a setting of malloc's.
    @Test("a block that malloc has from the kernel goes back there")
    func mapped() async {
        await #expect(processExitsWith: .success) {
            // `mallopt`, whose header Swift has not imported, and M_MMAP_THRESHOLD.
            typealias Setting = @convention(c) (Int32, Int32) -> Int32
            let mallopt = unsafe unsafeBitCast(dlsym(nil, "mallopt"), to: Setting.self)
            #expect(mallopt(-3, 8192) == 1)
            let kept = await onFreshThread {
                let blocks = (0..<64).map { _ in allocate(17_000) }
                for block in blocks { free(block) }
                return ctlsm_kept_bytes()
            }
            // The first few were there without the kernel: 132 KiB are a heap's beginning.
            #expect(kept < 132 << 10)
        }
    }

    @Test("a block that comes back on another thread is kept for that one")
    func acrossThreads() async {
        let block = await onFreshThread { allocate(100) }
        let isSame = await onFreshThread {
            free(block)
            // malloc may have given a little more than was asked for.
            let again = allocate(ctlsm_kept_bytes())
            defer { free(again) }
            return again == block
        }
        #expect(isSame)
    }

    @Test("a block that is given back twice ends the process", arguments: [100, 17_000])
    func twice(_ count: Int) async {
        await #expect(processExitsWith: .signal(SIGABRT)) { [count] in
            let block = allocate(count)
            for _ in 0..<2 { free(block) }
        }
    }

    @Test("it does so where no more of its size are kept")
    func twiceTooMany() async {
        await #expect(processExitsWith: .signal(SIGABRT)) {
            let blocks = (0..<Int(CTLSM_BLOCKS_OF_SIZE)).map { _ in allocate(100) }
            for block in blocks { free(block) }
            free(blocks[blocks.count - 1])
        }
    }

    @Test("more than there is, is no block")
    func tooMuch() async {
        let blocks = await onFreshThread {
            free(allocate(1))
            // By the size in front of it the last of these would be a small one.
            return [Int.max, -1 << 12, -24, -9, -1].map { allocate($0) }
        }
        #expect(blocks.allSatisfy { $0 == 0 })
    }

    @Test("connections give their blocks back, and no more are kept for it")
    func connections() async throws {
        let fixtures = try Fixtures.shared()
        let client = try fixtures.client()
        let server = try fixtures.server()
        let kept = try await onFreshThread {
            Result {
                try (0..<20).map { _ in
                    let pair = try EnginePair(client: client, server: server)
                    try pair.handshake()
                    return ctlsm_kept_bytes()
                }
            }
        }
        .get()
        #expect(kept.allSatisfy { $0 > 0 && $0 <= CTLSM_KEPT_BYTES })
    }

    @Test("malloc alone, where it is asked for")
    func choice() {
        let values: [String?] = [nil, "", "malloc", "mallocs"]
        let wanted = values.map { unsafe ctlsm_is_wanted($0) == 1 }
        #expect(wanted == [true, true, false, true])
    }
}
