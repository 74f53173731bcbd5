// Certificates, keys, authorities and staples in files that somebody else renews, in every way in which
// that is done.

import Foundation
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// A directory with the files of a listener, which is looked at every few milliseconds.
private struct FileStage: Sendable {
    let renewals: Renewals
    let directory: String

    var files: TLSFiles {
        var files = TLSFiles(
            certificate: directory + "/tls.crt",
            privateKey: directory + "/tls.key"
        )
        files.interval = .milliseconds(5)
        return files
    }

    func write(_ text: String, _ name: String) throws {
        try text.write(toFile: directory + "/" + name, atomically: false, encoding: .utf8)
    }

    func write(_ leaf: IssuedCertificate) throws {
        try write(leaf.chainPEM, "tls.crt")
        try write(try leaf.privateKeyPEM, "tls.key")
    }

    func listener(_ configure: (inout SocketListenerInit) throws -> Void = { _ in }) throws
        -> SocketListener
    {
        let listener = try makeListener(.tls13) {
            $0.identity = nil
            $0.files = files
            try configure(&$0)
        }
        try Renewals.answer(listener)
        return listener
    }

    /// What a client sees.
    func leaf(_ listener: SocketListener) async throws -> [UInt8]? {
        try await renewals.connect(.tls13, to: listener).peerCertificate
    }

    static func with(_ body: (FileStage) async throws -> Void) async throws {
        try await withTemporaryDirectory { path in
            try await body(FileStage(renewals: try Renewals(), directory: path))
        }
    }
}

/// The next event that is no handshake.
private func nextChange(_ events: inout ListenerEvents.Iterator) async -> ListenerEvent? {
    while let event = await events.next() {
        if case .handshakeDone = event { continue }
        return event
    }
    return nil
}

private func expectReloaded(_ event: ListenerEvent?, _ leaf: IssuedCertificate) {
    guard case .reloaded(let reload)? = event else {
        Issue.record("\(String(describing: event))")
        return
    }
    #expect(reload.cause == .files && reload.after.map(\.der) == [leaf.certificateDER])
}

@Suite(.timeLimit(.minutes(1))) struct TLSFilesTests {
    enum Way: CaseIterable, Sendable { case inPlace, renamed, linked }

    @Test("a change shows, however it is made", arguments: Way.allCases)
    func changed(way: Way) async throws {
        try await FileStage.with { stage in
            let (old, new) = (try stage.renewals.leaf(), try stage.renewals.leaf())
            let manager = FileManager.default
            if way == .linked {
                // As secrets of a cluster are: links to files in a directory that is itself a link.
                for (name, leaf) in [("..1", old), ("..2", new)] {
                    let inner = stage.directory + "/" + name
                    try manager.createDirectory(
                        atPath: inner,
                        withIntermediateDirectories: false
                    )
                    try FileStage(renewals: stage.renewals, directory: inner).write(leaf)
                }
                let link = stage.directory + "/..data"
                try manager.createSymbolicLink(atPath: link, withDestinationPath: "..1")
                for name in ["tls.crt", "tls.key"] {
                    try manager.createSymbolicLink(
                        atPath: stage.directory + "/" + name,
                        withDestinationPath: "..data/" + name
                    )
                }
            } else {
                try stage.write(old)
            }
            let listener = try stage.listener()
            var events = listener.events.makeAsyncIterator()
            #expect(try await stage.leaf(listener) == old.certificateDER)
            switch way {
            case .inPlace: try stage.write(new)
            case .renamed:
                try stage.write(new.chainPEM, "next.crt")
                try stage.write(try new.privateKeyPEM, "next.key")
                for name in ["crt", "key"] {
                    let renamed = unsafe rename(
                        stage.directory + "/next." + name,
                        stage.directory + "/tls." + name
                    )
                    #expect(renamed == 0)
                }
            case .linked:
                let next = stage.directory + "/..next"
                try manager.createSymbolicLink(atPath: next, withDestinationPath: "..2")
                #expect(unsafe rename(next, stage.directory + "/..data") == 0)
            }
            var event = await nextChange(&events)
            // Seen in its middle, which is not the case where all change at once.
            while case .reloadFailed? = event, way != .linked { event = await nextChange(&events) }
            expectReloaded(event, new)
            #expect(try await stage.leaf(listener) == new.certificateDER)
            await listener.close()
        }
    }

    @Test("in the middle of a change, and with files that are wrong, the old ones stay, told once")
    func middle() async throws {
        try await FileStage.with { stage in
            let (old, new) = (try stage.renewals.leaf(), try stage.renewals.leaf())
            try stage.write(old)
            let listener = try stage.listener()
            var events = listener.events.makeAsyncIterator()
            try stage.write(new.chainPEM, "tls.crt")
            guard case .reloadFailed(let error)? = await nextChange(&events) else {
                Issue.record("no word of it")
                return
            }
            #expect(error.tls?.code == .keyMismatch)
            #expect(try await stage.leaf(listener) == old.certificateDER)
            try FileManager.default.removeItem(atPath: stage.files.privateKey)
            guard case .reloadFailed(let missing)? = await nextChange(&events) else {
                Issue.record("no word of the file that is gone")
                return
            }
            #expect(missing.errno == ENOENT && missing.detail == stage.files.privateKey)
            #expect(try await stage.leaf(listener) == old.certificateDER)
            try stage.write(try new.privateKeyPEM, "tls.key")
            var event = await nextChange(&events)
            // The key, half written.
            while case .reloadFailed? = event { event = await nextChange(&events) }
            expectReloaded(event, new)
            #expect(try await stage.leaf(listener) == new.certificateDER)
            await listener.close()
            guard case .draining? = await nextChange(&events) else {
                Issue.record("told more than once")
                return
            }
        }
    }

    @Test("authorities and staples are read again too, of the listener and of its hosts")
    func authoritiesAndStaples() async throws {
        try await FileStage.with { stage in
            let leaf = try stage.renewals.leaf()
            try stage.write(leaf)
            let strangers = try TestCA(name: "Elsewhere")
            try stage.write(strangers.certificatePEM, "ca.crt")
            var files = stage.files
            files.clientAnchors = stage.directory + "/ca.crt"
            files.staple = stage.directory + "/staple.der"
            let host = TLSVirtualHost("a.test", identities: []) {
                $0.files = files
                $0.files?.staple = nil
                $0.clientAuthentication = .require
            }
            let listener = try stage.listener {
                $0.files = files
                $0.clientAuthentication = .require
                $0.hosts = [host]
            }
            var events = listener.events.makeAsyncIterator()
            let alice = try stage.renewals.ca.issueClient("alice").tlsIdentity
            func comesIn(_ name: String) async throws -> TLSSocketInfo? {
                let socket = try makeClient(.tls13, to: listener.localAddress) {
                    $0.trust = TrustPolicy(anchors: stage.renewals.anchors)
                    $0.trust.name = .unchecked(because: "the host's certificate is the listener's")
                    $0.servername = name
                    $0.identity = alice
                    $0.ocsp = { _, _ in }
                }
                guard (try? await readAll(from: socket)) == Array("!".utf8) else { return nil }
                return socket.info?.tls
            }
            #expect(try await comesIn("localhost") == nil)
            #expect(try await comesIn("a.test") == nil)
            let staple = try stage.renewals.ca.ocspAnswer(for: leaf).der
            try Data(staple).write(to: URL(filePath: files.staple ?? ""), options: .atomic)
            try stage.write(stage.renewals.ca.certificatePEM, "ca.crt")
            while try await comesIn("localhost")?.report.ocspResponse != staple {}
            #expect(try await comesIn("a.test") != nil)
            await listener.close()
            while await events.next() != nil {}
        }
    }

    @Test("files and what stands in them are not given at once, and an interval is some time")
    func misuse() async throws {
        try await FileStage.with { stage in
            try stage.write(try stage.renewals.leaf())
            #expect(throws: SocketError.self) {
                try stage.listener { $0.identity = try Credentials.shared().server }
            }
            #expect(throws: SocketError.self) {
                try stage.listener { $0.files?.interval = .zero }
            }
            #expect(throws: SocketError.self) { try stage.listener { $0.files?.staple = "/" } }
            var chosen = TLSSocketListenerInit()
            chosen.files = stage.files
            #expect(throws: SocketError.self) { try chosen.hostContext(named: nil) }
        }
    }

    @Test("a listener that has gone looks at nothing any more")
    func gone() async throws {
        try await FileStage.with { stage in
            try stage.write(try stage.renewals.leaf())
            struct Weak: Sendable { weak let watch: FileWatch? }
            let kept: Weak
            do {
                let listener = try stage.listener()
                kept = Weak(watch: listener.core.currentTLS?.watch)
                #expect(kept.watch != nil)
                await listener.close()
            }
            await until { kept.watch == nil }
        }
    }
}
