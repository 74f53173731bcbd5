// libFuzzer's entry. The target is named by FUZZ_TARGET; with FUZZ_SEEDS its seeds are written there.
// Built by Scripts/fuzz.sh, together with an instrumented build of the library.

import FuzzTargets
import Glibc

nonisolated(unsafe) private var target = FuzzTarget.address

/// Chooses the target; libFuzzer calls it first.
@c(LLVMFuzzerInitialize)
public func initialize(
    _ count: UnsafeMutablePointer<CInt>?,
    _ arguments: UnsafeMutableRawPointer?
) -> CInt {
    guard let name = unsafe getenv("FUZZ_TARGET"),
        let chosen = unsafe FuzzTarget(rawValue: String(cString: name))
    else { fatalError("FUZZ_TARGET names no target") }
    unsafe target = chosen
    FuzzTarget.prepare()
    if let folder = unsafe getenv("FUZZ_SEEDS") {
        unsafe writeSeeds(to: String(cString: folder))
        exit(0)
    }
    return 0
}

/// Runs one input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    do {
        try unsafe target.run(input)
    } catch {
        fatalError("the target itself failed: \(error)")
    }
    return 0
}

private func writeSeeds(to folder: String) {
    do {
        for (name, bytes) in try unsafe target.seeds() {
            guard let file = unsafe fopen(folder + "/" + name, "w") else {
                fatalError("cannot write \(folder)/\(name)")
            }
            unsafe fwrite(bytes, 1, bytes.count, file)
            unsafe fclose(file)
        }
    } catch {
        fatalError("no seeds: \(error)")
    }
}
