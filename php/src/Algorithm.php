<?php

declare(strict_types=1);

namespace Snug;

/** How tokens are signed: what the Worker has as `JWT_HMAC_ALGORITHM`. */
enum Algorithm: string
{
    case HS256 = 'sha256';
    case HS384 = 'sha384';
    case HS512 = 'sha512';
}
