// OpenSSL's error queue belongs to the thread. It is cleared before a call that may fail and
// drained to the end right after, on the same thread, with nothing between.

import COpenSSL

enum ErrorQueue {
    /// Empties the queue, so that what is drained later belongs to the next call.
    ///
    /// It nearly always is empty; OpenSSL's own call wipes its 16 places one by one even then, which
    /// takes 420 instructions.
    static func clear() {
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    /// Takes everything out of the queue, oldest first.
    static func drain() -> [OpenSSLReason] {
        var reasons: [OpenSSLReason] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return reasons }
            let isSystem = cssl_error_is_system(code) == 1
            let text =
                unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
                ?? "reason(\(ERR_GET_REASON(code)))"
            reasons.append(
                OpenSSLReason(
                    library: isSystem ? ERR_LIB_SYS : ERR_GET_LIB(code),
                    reason: ERR_GET_REASON(code),
                    text: text
                )
            )
        }
    }

    /// Makes an error of a construction step that just failed.
    static func error(_ code: TLSError.Code, _ detail: String? = nil, hint: String? = nil)
        -> TLSError
    {
        let reasons = drain()
        let text = [detail, reasons.last?.text].compactMap(\.self).joined(separator: ": ")
        return TLSError(code, detail: text.isEmpty ? nil : text, hint: hint, reasons: reasons)
    }
}
