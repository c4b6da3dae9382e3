from tools import cli, generate

if __name__ == '__main__':
    cli.run(generate.main)
