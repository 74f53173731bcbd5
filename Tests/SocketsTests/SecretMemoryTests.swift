// No secret is left behind: a process of its own shakes hands, lets go of everything, and looks for
// preshared keys and a passphrase in all its memory.

import Foundation
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SecretMemoryTests {
    @Test("behind connections that ended well, badly and in the middle no memory holds their key")
    func nothingLeft() async throws {
        // The passphrase as a text is made here, where nobody looks for it.
        let issued = try TestCA().issueClient("alice")
        let bytes = (UInt8(0)..<32).map { byte(passphraseSeed, $0) }
        let key = try issued.privateKeyPEM(passphrase: String(decoding: bytes, as: UTF8.self))
        let certificate = issued.certificateDER
        await #expect(processExitsWith: .success) {
            [certificate = certificate as [UInt8], key = key as String] in
            // The text to look for is made anew by every look, and wiped behind it.
            try await converse(.tls12)
            try await converse(.tls13)
            try await converse(certificate: certificate, key: key)
            try #require(MemoryScan.count(of: seeds.0) == 0)
            try #require(MemoryScan.count(of: seeds.1) == 0)
            try #require(MemoryScan.count(of: passphraseSeed) == 0)
            // The look finds what is there.
            let here = secret(seeds.0)
            try #require(MemoryScan.count(of: seeds.0) == 1)
            try #require(here.count == 32)
        }
    }

    @Test("a listener that seals tickets does not hold the secret that their keys are made of")
    func ticketSecret() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/secret"
        // In hexadecimal, and made here, where nobody looks for it.
        let text = (UInt8(0)..<32).map { String(byte(ticketSeed, $0), radix: 16) }.joined()
        try Files.write(Array(text.utf8), to: path)
        await #expect(processExitsWith: .success) { [path = path as String] in
            let listener = try makeListener(.tls13) {
                $0.ticketKeys = try TicketKeySource.file(path)
            }
            try listener.onSocket { try? $0.respondWith(SocketResponse(body: "!")) }
            try #require(listener.ticketKeys.first?.canSeal == true)
            let client = try makeClient(.tls13, to: listener.localAddress)
            try #require(try await readAll(from: client) == [33])
            try #require(client.info?.session != nil)
            try #require(MemoryScan.count(of: ticketSeed) == 0)
            // The look finds what is there.
            let here = try TicketSecrets(file: path)
            try #require(MemoryScan.count(of: ticketSeed) == 1)
            try #require(here.secrets.count == 1)
            await listener.close()
        }
        withExtendedLifetime(directory) {}
    }
}

private let ticketSeed: UInt8 = 151
private let seeds: (UInt8, UInt8) = (11, 97)
private let passphraseSeed: UInt8 = 53

/// A key that stands nowhere in the program.
private func secret(_ seed: UInt8) -> SecretBytes {
    SecretBytes(capacity: 32) { output in
        for place in UInt8(0)..<32 { output.append(byte(seed, place)) }
    }
}

/// One byte of the secret, a character.
@inline(never)
private func byte(_ seed: UInt8, _ place: UInt8) -> UInt8 {
    ((place &* 37 &+ seed &* 11) ^ (place &* place) ^ 0xa5) % 94 + 33
}

private func info(_ wire: Wire) throws -> PresharedKeyInfo {
    try PresharedKeyInfo(
        key: secret(wire == .tls12 ? seeds.0 : seeds.1),
        identity: "meter",
        use: wire == .tls12 ? .tls12 : .tls13(.sha384),
        roles: .both(because: "the test plays both sides")
    )
}

private func converse(_ wire: Wire) async throws {
    let pair = try await Pair(wire) {
        $0.presharedKey = { _ in try info(wire) }
    } server: {
        $0.presharedKey = { _ in try info(wire) }
    }
    try await pair.client.write("data")
    _ = try await readExactly(4, from: pair.server)
    // One that fails, and one that ends while it is asked.
    let refusing = try makeListener(wire) { $0.presharedKey = { _ in nil } }
    try refusing.onSocket { _ in }
    let refused = try makeClient(wire, to: refusing.localAddress) {
        $0.presharedKey = { _ in try info(wire) }
    }
    _ = await thrown { _ = try await refused.ready }
    let (begun, go, done) = (Gate(), Gate(), Gate())
    let waiting = try makeClient(wire, to: pair.listener.localAddress) {
        $0.presharedKey = { _ in
            let mine = try info(wire)
            begun.open()
            await go.wait()
            defer { done.open() }
            return mine
        }
    }
    await begun.wait()
    waiting.abort("enough")
    go.open()
    await done.wait()
    try await pair.client.close()
    try await pair.server.close()
    await refusing.close()
    await pair.listener.close()
}

/// Opens an encrypted key, which fails at first, and shows its certificate.
private func converse(certificate: [UInt8], key: String) async throws {
    func options(_ passphrase: SecretBytes) -> (inout SocketInit) -> Void {
        {
            $0.cert = certificate
            $0.key = Array(key.utf8)
            $0.passphrase = passphrase
        }
    }
    let failure = await thrown {
        _ = try makeClient(.tls13, to: loopback, options("wrong"))
    }
    try #require(failure?.tls?.code == .wrongPassphrase)
    let pair = try await Pair(.tls13, client: options(secret(passphraseSeed))) {
        $0.clientAuthentication = .request
        $0.trust = .acceptAnything(because: "the key is what is tested")
    }
    try await pair.client.close()
    try await pair.server.close()
    await pair.listener.close()
}

/// Looks through the memory of this process.
private enum MemoryScan {
    /// How often the key of a seed stands in memory that can be written.
    static func count(of seed: UInt8) throws -> Int {
        // The kernel gives a page of the list a call, and Foundation takes the first for the whole.
        let list = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/maps"))
        defer { try? list.close() }
        var bytes = Data()
        while let part = try list.read(upToCount: 4096), !part.isEmpty { bytes += part }
        let maps = String(decoding: bytes, as: UTF8.self)
        try #require(maps.contains("[stack]"))
        let memory = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/mem"))
        defer { try? memory.close() }
        // Shared, so that it is no region that is looked at: what was read would be found in it.
        let mapped = unsafe mmap(
            nil,
            pieceCount,
            PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS,
            -1,
            0
        )
        let piece = unsafe UnsafeMutableRawBufferPointer(start: mapped, count: pieceCount)
        let isMapped = unsafe mapped != MAP_FAILED
        try #require(isMapped)
        defer { unsafe munmap(mapped, pieceCount) }
        var found = 0
        for line in maps.split(separator: "\n") where line.contains(" rw-p") {
            let range = line.prefix { $0 != " " }.split(separator: "-")
            guard range.count == 2, let start = UInt64(range[0], radix: 16),
                let end = UInt64(range[1], radix: 16)
            else { continue }
            // Terabytes are a sanitizer's shadow of the memory, not memory.
            guard end - start < 1 << 36 else { continue }
            found += unsafe count(of: seed, memory, start, end, piece)
        }
        return found
    }

    /// Reads a region by pieces into one place.
    private static func count(
        of seed: UInt8,
        _ memory: FileHandle,
        _ start: UInt64,
        _ end: UInt64,
        _ piece: UnsafeMutableRawBufferPointer
    ) -> Int {
        var found = 0
        var place = start
        while place < end {
            let size = Int(min(UInt64(pieceCount), end - place))
            // What was never touched need not be read: a sanitizer keeps gigabytes of it.
            guard hasPages(place, size) else {
                place += UInt64(size)
                continue
            }
            // Regions of the kernel's own cannot be read.
            let got = unsafe pread(memory.fileDescriptor, piece.baseAddress, size, off_t(place))
            guard got == size else { return found }
            found += unsafe occurrences(of: seed, UnsafeRawBufferPointer(rebasing: piece[..<size]))
            // A key on the seam is in the next piece too, whole.
            place += UInt64(size == pieceCount ? size - 31 : size)
        }
        return found
    }

    /// Whether a page of a piece is in memory, behind what it shares with the piece before: to read
    /// a page brings it in.
    private static func hasPages(_ place: UInt64, _ size: Int) -> Bool {
        let start = (UInt(place) + 31) & ~4095
        let count = (Int(UInt(place)) + size - Int(start) + 4095) / 4096
        var pages = [UInt8](repeating: 0, count: count)
        let first = unsafe UnsafeMutableRawPointer(bitPattern: start)
        let result = unsafe mincore(first, count * 4096, &pages)
        return result != 0 || pages.contains { $0 & 1 == 1 }
    }

    private static func occurrences(of seed: UInt8, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard bytes.count >= 32, let start = bytes.baseAddress else { return 0 }
        let (first, end) = (Int32(byte(seed, 0)), bytes.count - 31)
        var (found, place) = (0, 0)
        // The library's own search: a loop over each byte takes minutes under a sanitizer.
        while place < end, let hit = unsafe memchr(start + place, first, end - place) {
            place = unsafe UnsafeRawPointer(hit) - start
            // Half a key would be as bad.
            let isThere = (UInt8(1)..<16).allSatisfy { next in
                unsafe bytes[place + Int(next)] == byte(seed, next)
            }
            if isThere { found += 1 }
            place += 1
        }
        return found
    }

    private static let pieceCount = 1 << 20
}
