// Our reading of a ClientHello beside OpenSSL's of the same bytes: equal where both read it, and every
// difference in what is refused is one of a short list.
//
// What OpenSSL shows to its callback was read down to the blocks of extensions, not into them: what
// is wrong inside of one it finds later, or, of an extension that it does not know or has no use for
// in the version that is chosen, never. This parser is for asking before that.

import Foundation
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ClientHelloDifferentialTests {
    /// What the two make of the same bytes.
    enum Comparison: Hashable {
        /// Both read it, and say the same.
        case same
        /// Both read it, and say different things.
        case different
        /// Neither has enough.
        case wantMore
        /// Both refuse it.
        case refused
        /// OpenSSL shows it; we refuse what is inside an extension.
        case formOfExtension
        /// OpenSSL shows it, and refuses an odd number of bytes of cipher suites later.
        case oddSuites
        /// OpenSSL shows it, and refuses no suites or no compression methods later.
        case emptyList
        /// OpenSSL shows it; we refuse an extension that OpenSSL does not know and that comes twice.
        case unknownTwice
        /// OpenSSL refuses `use_srtp` outside of DTLS.
        case misplaced
        /// OpenSSL refuses by the message's length alone what we wait for the rest of.
        case tooLong
        /// We refuse by the first bytes of a record or message what OpenSSL waits for the rest of.
        case earlier
        /// None of these.
        case unexplained(String)
    }

    static func compare(_ bytes: [UInt8]) throws -> Comparison {
        let theirs = try OpenSSLClientHello.read(bytes)
        let ours: ClientHello?
        do throws(TLSError) {
            ours = try ClientHello(reading: bytes)
        } catch {
            switch theirs {
            case .refused: return .refused
            case .wantsMore: return .earlier
            case .read(let view):
                let detail = error.detail ?? ""
                if detail.hasSuffix("has not its form") { return .formOfExtension }
                if detail.hasSuffix("it ends too early"), view.hasOddSuites {
                    return .oddSuites
                }
                let isEmpty = view.cipherSuites.isEmpty || view.compressionMethods.isEmpty
                if detail.hasSuffix("a list is too short"), isEmpty { return .emptyList }
                if detail.hasSuffix("comes twice"),
                    detail.contains("GREASE")
                        || detail.contains("extension 0x")
                {
                    return .unknownTwice
                }
                return .unexplained("\(error)")
            }
        }
        switch (theirs, ours) {
        case (.read(let view), let ours?):
            return view.isSame(as: ours) ? .same : .different
        case (.wantsMore, nil): return .wantMore
        case (.refused("excessive message size"), nil): return .tooLong
        case (.refused("bad extension"), let ours?) where ours.has(misplaced): return .misplaced
        default:
            return .unexplained(
                "\(theirs) beside \(ours?.extensions.map(\.type.description) ?? [])"
            )
        }
    }

    // MARK: Sound ones

    /// What engines of many policies say first, and what was put together by hand.
    private func soundHellos() throws -> [String: [UInt8]] {
        var hellos: [String: [UInt8]] = [
            "JA4's example": FingerprintTests.example.records,
            "Chrome": BrowserHello.chrome().records, "Firefox": BrowserHello.firefox.records,
        ]
        for form in ClientHelloExtensionTests.forms where form.number != 0x0a0a {
            hellos[form.testDescription] =
                HelloRecipe(extensions: [(form.number, form.contents)]).records
        }
        let policies: [String: (inout TLSPolicy) -> Void] = [
            "default": { _ in }, "1.2": { $0.maximumVersion = .tls12 },
            "1.3": { $0.minimumVersion = .tls13 }, "alpn": { $0.alpn = ["h2", "http/1.1"] },
            "groups": { $0.groups = ["P-521", "x448"] },
            "suites": { $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256"] },
            "algorithms": { $0.signatureAlgorithms = ["ed25519"] },
            "staple": { $0.requestsOCSPStaple = true },
        ]
        let fixtures = try Fixtures.shared()
        for (name, configure) in policies {
            for remote in ["a.test", "127.0.0.1"] {
                var engine = try TLSEngine(fixtures.client(configure), remoteName: remote)
                hellos["\(name) \(remote)"] = try [UInt8](capacity: 65536) {
                    output throws(TLSError) in
                    _ = try engine.handshake(consuming: Span(), producing: &output)
                }
            }
        }
        let padded = try FaultPeer(.client, .tls13, helloPadding: 40_000)
        hellos["padded"] = try padded.step([])
        return hellos
    }

    @Test("both read the same of every sound one")
    func sound() throws {
        for (name, bytes) in try soundHellos() {
            let comparison = try Self.compare(bytes)
            let isMisplaced = name.hasPrefix("use_srtp")
            #expect(comparison == (isMisplaced ? .misplaced : .same), "\(name)")
        }
    }

    @Test("of the fuzzer's corpus as well, whatever becomes of it")
    func corpus() throws {
        let folder = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fuzzing/Corpus/hello")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        try #require(!names.isEmpty)
        for name in names {
            let input = Array(try Data(contentsOf: folder.appending(path: name)))
            // Behind the flag are a connection's bytes, or the body of a message.
            for bytes in [Array(input.dropFirst()), record(message(Array(input.dropFirst())))] {
                let comparison = try Self.compare(bytes)
                #expect(!comparison.isBad, "\(name): \(comparison)")
            }
        }
    }

    // MARK: Changed ones

    @Test("what is different of changed ones is explained", arguments: [0, 1, 2, 3])
    func changed(part: Int) throws {
        var recipes = [FingerprintTests.example]
        recipes += ClientHelloExtensionTests.forms.map {
            HelloRecipe(extensions: [($0.number, $0.contents)])
        }
        recipes += ClientHelloExtensionTests.malformed.map { HelloRecipe(extensions: [$0]) }
        var found: Set<Comparison> = []
        for (place, recipe) in recipes.enumerated() where place % 4 == part {
            let bytes = recipe.records
            // The random, and a browser's long keys, may be anything.
            for index in bytes.indices where !(11..<43).contains(index) {
                for value in [0, 0x7f, 0xff, bytes[index] &+ 1] as [UInt8] {
                    var changed = bytes
                    changed[index] = value
                    let comparison = try Self.compare(changed)
                    #expect(!comparison.isBad, "\(comparison) at \(index) of \(changed)")
                    found.insert(comparison)
                }
            }
        }
        #expect(found.isSuperset(of: [.same, .refused, .wantMore, .formOfExtension, .oddSuites]))
    }

    @Test("what OpenSSL lets pass twice is refused")
    func twice() throws {
        let recipe = HelloRecipe(extensions: [(0x1234, []), (0x1234, [])])
        #expect(try Self.compare(recipe.records) == .unknownTwice)
        let known = HelloRecipe(extensions: [(23, []), (23, [])])
        #expect(try Self.compare(known.records) == .refused)
    }
}

extension ClientHelloDifferentialTests.Comparison {
    /// Whether it is a difference that nothing explains.
    fileprivate var isBad: Bool {
        switch self {
        case .different, .unexplained: true
        default: false
        }
    }
}

/// `use_srtp`, which OpenSSL takes in DTLS only.
private let misplaced = ExtensionType(rawValue: 14)
