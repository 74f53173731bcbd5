// The entry points that are fuzzed. A target is a function from bytes to nothing: it passes unless it
// traps, hangs, leaks, or a sanitizer objects. What must hold beyond that is a `require`.
//
// The same functions run under libFuzzer (Fuzzing/Entry) and, on the committed corpora and on the
// inputs that once failed, in `swift test` (FuzzTests).

import CFuzzSupport
import TLSEngine

/// Something that reads bytes of strangers.
public enum FuzzTarget: String, CaseIterable, Codable, Sendable {
    /// Texts that name an endpoint.
    case address
    /// What a server says to a raw ClientHello, taken apart without OpenSSL.
    case answer
    /// Captures of packets, and the order of the segments in them.
    case capture
    /// Certificates and keys in PEM and DER, and trust stores made of them.
    case certificate
    /// A peer's chain in a handshake, judged by either role.
    case chain
    /// The engine as client, fed what a server says, altered.
    case client
    /// What a server says before it starts TLS, in eleven protocols.
    case dialogue
    /// A ClientHello, taken apart without OpenSSL.
    case hello
    /// What a proxy says in front of a connection.
    case proxy
    /// OCSP responses and revocation lists.
    case revocation
    /// The engine as server, fed what a client says, altered.
    case server

    /// Makes OpenSSL's randomness repeat; once a process, before any input.
    public static func prepare() {
        require(fuzz_random_install() == 1, "OpenSSL takes our generator")
    }

    /// Runs one input.
    public func run(_ input: [UInt8]) throws {
        // What all inputs share is made from the same randomness whichever comes first.
        let materials = try Materials.shared()
        fuzz_random_restart(UInt64(input.count) + 1)
        switch self {
        case .address: fuzzAddress(input)
        case .answer: fuzzAnswer(input)
        case .capture: fuzzCapture(input)
        case .certificate: try fuzzCertificate(input, materials)
        case .chain: try fuzzChain(input, materials)
        case .client: try fuzzEngine(.client, input, materials)
        case .dialogue: fuzzDialogue(input)
        case .hello: fuzzHello(input)
        case .proxy: fuzzProxy(input)
        case .revocation: try fuzzRevocation(input, materials)
        case .server: try fuzzEngine(.server, input, materials)
        }
    }

    /// Inputs that reach far, to begin with, by file name.
    public func seeds() throws -> [String: [UInt8]] {
        let materials = try Materials.shared()
        return switch self {
        case .address: addressSeeds()
        case .answer: answerSeeds()
        case .capture: captureSeeds()
        case .certificate: try certificateSeeds(materials)
        case .chain: chainSeeds()
        case .client, .server: engineSeeds()
        case .dialogue: dialogueSeeds()
        case .hello: try helloSeeds(materials)
        case .proxy: proxySeeds()
        case .revocation: try revocationSeeds(materials)
        }
    }
}

/// A law of a target: broken, it ends the process, which is what a fuzzer looks for.
func require(_ holds: Bool, _ law: @autoclosure () -> String) {
    guard holds else { fatalError("broken: \(law())") }
}

/// Tells the fuzzer that something of this kind and number happened.
func note(_ kind: UInt32, _ numbers: Int...) {
    fuzz_note(numbers.reduce(kind) { $0 &* 65599 &+ UInt32(truncatingIfNeeded: $1) })
}

/// Takes values off the front of an input; zeros behind its end.
struct ScriptReader {
    private let bytes: [UInt8]
    private var next = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { next >= bytes.count }

    mutating func byte() -> UInt8 {
        guard next < bytes.count else { return 0 }
        defer { next += 1 }
        return bytes[next]
    }

    mutating func word() -> Int { Int(byte()) << 8 | Int(byte()) }

    /// A number of bytes and the bytes, as many as there are.
    mutating func block() -> [UInt8] { take(Int(byte())) }

    mutating func rest() -> [UInt8] { take(bytes.count - next) }

    private mutating func take(_ count: Int) -> [UInt8] {
        let end = min(next + count, bytes.count)
        defer { next = end }
        return Array(bytes[min(next, end)..<end])
    }
}
