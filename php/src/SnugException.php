<?php

declare(strict_types=1);

namespace Snug;

use Throwable;

/**
 * Implemented by every exception of this package, except those for invalid arguments (`InvalidArgumentException`,
 * `JsonException`).
 */
interface SnugException extends Throwable
{
}
