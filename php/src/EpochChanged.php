<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/** A room was deleted while its messages were read: what comes now belongs to another story. */
final class EpochChanged extends RuntimeException implements SnugException
{
}
