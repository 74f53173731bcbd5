// The reader of the draft: what it lists must be all of it, or a member could go missing unseen.

import Foundation
import Testing

@Suite struct WebIDLTests {
    @Test("every definition of the draft is listed, with its number of members")
    func definitions() throws {
        let counts = try Seed.definitions().map { "\($0.kind) \($0.name) \($0.members.count)" }
        #expect(
            counts == [
                "interface Socket 9", "enum SocketType 3", "interface SocketDataEvent 2",
                "dictionary SocketAddress 2", "dictionary SocketInit 14", "typedef SocketBody 5",
                "dictionary TLSSocketInit 17", "interface SocketStats 4",
                "interface SocketInfo 3", "interface TLSSocketInfo 10", "dictionary CipherInfo 3",
                "dictionary EphemeralKeyInfo 3", "dictionary PresharedKeyInfo 2",
                "callback PresharedKeyCallback 1", "callback ServerIdentityCallback 1",
                "callback OCSPCallback 1", "interface SocketListener 3",
                "dictionary SocketListenerInit 4", "dictionary TLSSocketListenerInit 0",
                "interface OnSocketEvent 3", "interface SocketResponse 1",
                "dictionary SocketResponseOptions 8",
            ]
        )
    }

    @Test("members of every form are read with their defaults")
    func members() throws {
        let text = """
            [Exposed=(Window,Worker)]
            interface A : B {
              constructor(object C); // a remark; not a member
              Promise<undefined> close(optional any reason);
              readonly attribute sequence<USVString> list;
              async iterable<E>();
            }
            dictionary C { D | Promise<D> body; T type = "tcp"; unsigned long time = 0; };
            enum T{ "x", "y" }
            typedef (string | Blob) D
            callback E = Promise<F|undefined> (USVString g);
            C include G;
            """
        #expect(
            try SeedParser.parse(text) == [
                SeedDefinition(
                    kind: .interface,
                    name: "A",
                    members: ["B", "constructor", "close", "list", "async iterable"].map {
                        SeedMember($0)
                    }
                ),
                SeedDefinition(
                    kind: .dictionary,
                    name: "C",
                    members: [
                        SeedMember("body"), SeedMember("type", defaultValue: "tcp"),
                        SeedMember("time", defaultValue: "0"), SeedMember("G"),
                    ]
                ),
                SeedDefinition(kind: .enum, name: "T", members: [.init("x"), .init("y")]),
                SeedDefinition(
                    kind: .typedef,
                    name: "D",
                    members: [.init("string"), .init("Blob")]
                ),
                SeedDefinition(kind: .callback, name: "E", members: [.init("callback")]),
            ]
        )
    }

    @Test(
        "what is not of the draft's form is an error, not an omission",
        arguments: ["partial A {}", "interface A {", "A includes B;", "dictionary A { ; x = ; }"]
    )
    func unreadable(_ text: String) {
        #expect(throws: SeedUnreadable.self) { try SeedParser.parse(text) }
    }
}
