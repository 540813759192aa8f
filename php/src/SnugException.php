<?php

declare(strict_types=1);

namespace Snug;

use Throwable;

/** Whatever Snug throws, but for arguments of another form (`InvalidArgumentException`, `JsonException`). */
interface SnugException extends Throwable
{
}
