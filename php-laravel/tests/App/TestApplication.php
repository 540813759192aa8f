<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests\App;

use Illuminate\Console\Application as Artisan;
use Illuminate\Contracts\Console\Kernel as ConsoleKernelContract;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel as HttpKernelContract;
use Illuminate\Filesystem\Filesystem;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Console\Kernel as ConsoleKernel;
use Illuminate\Foundation\Exceptions\Handler;
use Illuminate\Foundation\PackageManifest;

/** A whole Laravel application, which discovers the package as one that Composer has installed. */
final class TestApplication
{
    /**
     * Creates the application, and does not boot it yet.
     *
     * @param string $data A folder for what the application writes.
     * @param string $site The application's folder: tests/site or a copy of it.
     */
    public static function create(string $data, string $site): Application
    {
        // For bootstrap/app.php.
        putenv("APP_DATA=$data");
        foreach (['framework/sessions', 'framework/views', 'framework/cache', 'logs', 'vendor/composer'] as $folder) {
            if (!is_dir("$data/$folder")) {
                mkdir("$data/$folder", 0755, true);
            }
        }
        $package = json_decode((string) file_get_contents(__DIR__ . '/../../composer.json'), true);
        file_put_contents("$data/vendor/composer/installed.json", json_encode(['packages' => [$package]]));
        foreach (['PACKAGES', 'SERVICES', 'CONFIG', 'ROUTES', 'EVENTS'] as $name) {
            $_ENV["APP_{$name}_CACHE"] = $_SERVER["APP_{$name}_CACHE"] = "$data/" . strtolower($name) . '.php';
        }
        // Otherwise the commands of the application before would stay.
        Artisan::forgetBootstrappers();

        $app = new Application($site);
        $app->useStoragePath($data);
        $app->singleton(
            PackageManifest::class,
            static fn (): PackageManifest => new PackageManifest(new Filesystem(), $data, "$data/packages.php"),
        );
        $app->singleton(HttpKernelContract::class, Kernel::class);
        $app->singleton(ConsoleKernelContract::class, ConsoleKernel::class);
        $app->singleton(ExceptionHandler::class, Handler::class);
        return $app;
    }
}
