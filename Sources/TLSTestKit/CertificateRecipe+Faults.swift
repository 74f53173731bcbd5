// Certificates that are wrong in exactly one way. A recipe says how to make one; the table of
// ``CertificateFault`` says what a verifier answers. A new fault is a function here if a recipe can
// express it, and a row there.

extension CertificateRecipe {
    /// Makes a server certificate that expired a day ago.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func expired(_ names: SubjectName...) -> Self { expired(names) }

    /// Makes a server certificate that becomes valid tomorrow.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func notYetValid(_ names: SubjectName...) -> Self { notYetValid(names) }

    /// Makes a server certificate for `wrong-host.invalid`, whatever names are asked for.
    ///
    /// - Parameter names: Ignored.
    /// - Returns: A recipe whose fields may be changed.
    public static func wrongHost(_ names: SubjectName...) -> Self { wrongHost(names) }

    /// Makes a server certificate that has its first name only as common name.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func noSAN(_ names: SubjectName...) -> Self { noSAN(names) }

    /// Makes an authority's certificate that has a server's names and purpose.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func caAsLeaf(_ names: SubjectName...) -> Self { caAsLeaf(names) }

    /// Makes a certificate with a server's names that is only good for clients.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func wrongEKU(_ names: SubjectName...) -> Self { wrongEKU(names) }

    /// Makes a server certificate with a critical extension that nobody knows.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func unknownCriticalExtension(_ names: SubjectName...) -> Self {
        unknownCriticalExtension(names)
    }

    /// Makes a server certificate that signed itself.
    ///
    /// - Parameter names: The server's names.
    /// - Returns: A recipe whose fields may be changed.
    public static func selfSigned(_ names: SubjectName...) -> Self { selfSigned(names) }
}

extension CertificateRecipe {
    static func expired(_ names: [SubjectName]) -> Self {
        bent(.server(names)) { $0.validity = .days(-2 ... -1) }
    }

    static func notYetValid(_ names: [SubjectName]) -> Self {
        bent(.server(names)) { $0.validity = .days(1...2) }
    }

    static func wrongHost(_: [SubjectName]) -> Self { .server(["wrong-host.invalid"]) }

    static func noSAN(_ names: [SubjectName]) -> Self { bent(.server(names)) { $0.names = [] } }

    static func caAsLeaf(_ names: [SubjectName]) -> Self {
        bent(.server(names)) { $0.basicConstraints = BasicConstraints(isAuthority: true) }
    }

    static func wrongEKU(_ names: [SubjectName]) -> Self {
        bent(.server(names)) { $0.extendedKeyUsage = [.clientAuth] }
    }

    static func unknownCriticalExtension(_ names: [SubjectName]) -> Self {
        bent(.server(names)) {
            // An arc under 2.25, which belongs to UUIDs, holding a DER NULL.
            $0.extraExtensions = [
                CertificateExtension(oid: "2.25.74656", isCritical: true, der: [0x05, 0x00])
            ]
        }
    }

    static func selfSigned(_ names: [SubjectName]) -> Self {
        bent(.server(names)) { $0.signer = .itself }
    }

    private static func bent(_ recipe: Self, _ change: (inout Self) -> Void) -> Self {
        var recipe = recipe
        change(&recipe)
        return recipe
    }
}
